# The rest of the table of alarms_table.tf, where its columns are explained: functions, API, network, account, and the
# monitoring itself.

locals {
  functions = merge(
    { producer = { function_name = aws_lambda_function.producer.function_name, timeout_s = local.producer_timeout_seconds } },
    { for name, it in local.consumers : name => { function_name = module.consumer[name].function.function_name, timeout_s = it.timeout_seconds } },
  )
  # A function that reserves none has no ceiling of its own to come near.
  producer_reserved_concurrency = coalesce(var.producer.reserved_concurrency, local.producer_concurrency_limit)

  function_rows = {
    # What callers notice of it is api-5xx; and on-demand mode retries whole batches by design.
    errors = {
      when   = true, severity = "ticket", runbook = "function-errors", about = "Invocations fail again and again: timeout, out of memory, or (consumer) a batch that must be retried."
      metric = "Errors", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 3, datapoints = 2, if_silent = "notBreaching"
    }
    throttles = {
      when   = true, severity = "ticket", runbook = "function-throttles", about = "Invocations were throttled: reserved concurrency or the account's quota is used up."
      metric = "Throttles", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    slow = {
      when   = true, severity = "ticket", runbook = "function-slow", about = "95 % of invocations take up to more than 80 % of the timeout."
      metric = "Duration", stat = "p95", period = 300, operator = ">", threshold = null, periods = 3, if_silent = "notBreaching"
    }
    # The producer's alone: a consumer in as many environments as there are partitions works as it should.
    concurrency-near-limit = {
      when   = true, severity = "ticket", runbook = "function-throttles", about = "Above 80 % of the reserved concurrency is in use."
      metric = "ConcurrentExecutions", stat = "Maximum", period = 60, operator = ">", threshold = null, periods = 5, if_silent = "notBreaching"
    }
  }

  # Whatever is published waits for these.
  consumers_of_all = [for name, it in local.consumers : name if length(it.filters) == 0 && length(local.consumer_topics[name]) > 0 && length(setsubtract(keys(local.produced_topics), local.consumer_topics[name])) == 0]

  api_stage_dimensions = { ApiId = aws_apigatewayv2_api.this.id, Stage = aws_apigatewayv2_stage.default.name }

  # A share of few requests says nothing: a page wants five failures, twice in a row; a ticket 20 requests.
  other_rows = {
    api-5xx = {
      when      = true, severity = "page", runbook = "api-5xx", about = "Above ${var.alarm_limits.api_5xx_percent} % of requests end with 5xx."
      namespace = "AWS/ApiGateway", dimensions = local.api_stage_dimensions
      math      = { expression = "IF(failed >= 5, 100 * failed / requests, 0)", period = 300, stat = "Sum", metrics = { failed = "5xx", requests = "Count" } }
      operator  = ">", threshold = var.alarm_limits.api_5xx_percent, periods = 2, if_silent = "notBreaching"
    }
    api-4xx = {
      when      = true, severity = "ticket", runbook = "api-4xx", about = "Above ${var.alarm_limits.api_4xx_percent} % of requests are refused (4xx), throttling included."
      namespace = "AWS/ApiGateway", dimensions = local.api_stage_dimensions
      math      = { expression = "IF(requests > 20, 100 * refused / requests, 0)", period = 300, stat = "Sum", metrics = { refused = "4xx", requests = "Count" } }
      operator  = ">", threshold = var.alarm_limits.api_4xx_percent, periods = 3, if_silent = "notBreaching"
    }
    api-slow = {
      when      = true, severity = "ticket", runbook = "api-slow", about = "1 % of callers wait longer than ${var.alarm_limits.api_p99_latency_ms} ms."
      namespace = "AWS/ApiGateway", dimensions = local.api_stage_dimensions
      metric    = "Latency", stat = "p99", period = 300, operator = ">", threshold = var.alarm_limits.api_p99_latency_ms, periods = 3, if_silent = "notBreaching"
    }

    # Metrics that the functions write themselves (embedded metric format). None on QueueDepth: an environment serves one
    # request at a time, whose records are gone with its deadline, so its queue never comes near its 10,000.
    producer-authentication-fails = {
      when      = true, severity = "ticket", runbook = "authentication-fails", about = "The producer cannot sign in to the brokers."
      namespace = local.metrics_namespace, dimensions = { service = "producer" }
      metric    = "AuthFailures", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    producer-records-failed = {
      when      = true, severity = "ticket", runbook = "records-failed", about = "Records could not be written, or nobody knows whether they were; their callers were told."
      namespace = local.metrics_namespace, dimensions = { service = "producer" }
      metric    = "RecordsFailed", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    producer-rebuilds = {
      when      = true, severity = "ticket", runbook = "producer-rebuilds", about = "The producer replaces its Kafka client again and again."
      namespace = local.metrics_namespace, dimensions = { service = "producer" }
      metric    = "ProducerRebuilds", stat = "Sum", period = 300, operator = ">", threshold = 10, periods = 2, if_silent = "notBreaching"
    }
    # For a group that MSK reports no lag of. Records that the consumer is not to see would be taken for waiting ones.
    records-published = {
      when      = length(local.consumers_of_all) > 0, severity = "signal", runbook = "consumer-stalled", about = "Records are published."
      namespace = local.metrics_namespace, dimensions = { service = "producer" }
      metric    = "RecordsPublished", stat = "Sum", period = 60, operator = ">", threshold = 0, periods = max(concat([0], [for name in local.consumers_of_all : local.consumers[name].stalled_minutes])...), if_silent = "notBreaching"
    }

    # What is shared with others, and what ends by itself.
    lambda-concurrency-near-quota = {
      when      = true, severity = "ticket", runbook = "lambda-concurrency-near-quota", about = "Above 80 % of the account's ${var.alarm_limits.lambda_account_concurrency} concurrent executions are reserved or in use."
      namespace = "AWS/Lambda", dimensions = {}
      metric    = "ClaimedAccountConcurrency", stat = "Maximum", period = 300, operator = ">", threshold = 0.8 * var.alarm_limits.lambda_account_concurrency, periods = 3, if_silent = "notBreaching"
    }
    producer-warm-environments-exceeded = {
      when      = var.producer.provisioned_concurrency > 0, severity = "ticket", runbook = "function-throttles", about = "Requests find no warm environment: more than ${var.producer.provisioned_concurrency} at once for 15 minutes."
      namespace = "AWS/Lambda", dimensions = { FunctionName = aws_lambda_function.producer.function_name }
      metric    = "ProvisionedConcurrencySpilloverInvocations", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 3, if_silent = "notBreaching"
    }
    certificate-expires = {
      when      = var.api.domain != null, severity = "ticket", runbook = "certificate-expires", about = "The certificate of ${try(var.api.domain.name, "")} has less than 30 days left: it was not renewed."
      namespace = "AWS/CertificateManager", dimensions = { CertificateArn = try(var.api.domain.certificate_arn, "") }
      metric    = "DaysToExpiry", stat = "Minimum", period = 86400, operator = "<", threshold = 30, periods = 1, if_silent = "missing"
    }
    bastion-fails-its-checks = {
      when      = var.enable_bastion, severity = "ticket", runbook = "bastion-fails-its-checks", about = "EC2 finds the bastion or its host broken."
      namespace = "AWS/EC2", dimensions = { InstanceId = try(aws_instance.bastion[0].id, "") }
      metric    = "StatusCheckFailed", stat = "Maximum", period = 60, operator = ">", threshold = 0, periods = 5, if_silent = "missing"
    }
    # Off unless asked for: only its owner knows how long nobody may call. In minutes, all of them filled: one period of an
    # hour would be held up by the calls of hours before.
    no-requests = {
      when      = var.alarm_limits.no_requests_minutes != null, severity = "ticket", runbook = "no-requests", about = "Nobody has called the API for ${coalesce(var.alarm_limits.no_requests_minutes, 1)} minutes."
      namespace = "AWS/ApiGateway", dimensions = local.api_stage_dimensions
      math      = { expression = "FILL(calls, 0)", period = 60, stat = "Sum", metrics = { calls = "Count" } }
      operator  = "<", threshold = 1, periods = coalesce(var.alarm_limits.no_requests_minutes, 1), if_silent = "breaching"
    }
    # A flow log that may not write says so to nobody: CloudWatch has no metric of it, but a log group in which nothing arrives.
    # Not filled: a ticket that may come some periods later.
    flow-log-silent = {
      when      = !local.adopts_network, severity = "signal", runbook = "flow-log-silent", about = "No flow log record has arrived for 30 minutes."
      namespace = "AWS/Logs", dimensions = { LogGroupName = try(local.log_groups.flow_log, "") }
      metric    = "IncomingLogEvents", stat = "Sum", period = 300, operator = "<", threshold = 1, periods = 6, if_silent = "breaching"
    }

    # Who watches the watcher.
    prometheus-alerts-undelivered = {
      when      = local.has_prometheus, severity = "ticket", runbook = "alerts-undelivered", about = "Prometheus alerts do not reach the alarm topic."
      namespace = "AWS/Prometheus", dimensions = { Workspace = try(aws_prometheus_workspace.this[0].id, "") }
      metric    = "AlertManagerNotificationsFailed", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    prometheus-rules-fail = {
      when      = local.has_prometheus, severity = "ticket", runbook = "metrics-missing", about = "Prometheus rules cannot be evaluated."
      namespace = "AWS/Prometheus", dimensions = { Workspace = try(aws_prometheus_workspace.this[0].id, "") }
      metric    = "RuleEvaluationFailures", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 3, if_silent = "notBreaching"
    }
    prometheus-samples-discarded = {
      when      = local.has_prometheus, severity = "ticket", runbook = "metrics-missing", about = "The Prometheus workspace discards samples: a quota is reached."
      namespace = "AWS/Prometheus", dimensions = { Workspace = try(aws_prometheus_workspace.this[0].id, "") }
      metric    = "DiscardedSamples", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 3, if_silent = "notBreaching"
    }
  }

  # What each consumer writes itself, in a namespace of its own, and what its mapping does with failures. An alarm is called
  # NAME-row, or as `key` says: some of the first consumer's have always gone by shorter names.
  consumer_rows = { for name, it in local.consumers : name => {
    dead-letters = {
      when      = true, severity = "ticket", runbook = "dead-letters", about = "Records went to the dead-letter topic: nobody handled them."
      namespace = it.metrics_namespace, dimensions = { service = "consumer" }
      metric    = "DeadLettered", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    poison = {
      when      = it.dead_letter_topic == "" || length(local.consumer_topics[name]) == 0, severity = "page", runbook = "poison-without-a-dead-letter", about = "Records cannot be handled, and there is no dead letter to take them."
      namespace = it.metrics_namespace, dimensions = { service = "consumer" }
      metric    = "RecordsPoisoned", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    # An event that is none at all writes no metrics: it fails the invocation (consumer-errors).
    undecodable-records = {
      when      = true, severity = "ticket", runbook = "undecodable-records", about = "The consumer cannot decode the content of records; they go to the dead letter, or come again where there is none."
      namespace = it.metrics_namespace, dimensions = { service = "consumer" }
      metric    = "DecodeErrors", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    records-old = {
      when      = true, severity = "signal", twin = "MskConsumerLagTime", runbook = "consumer-lag", about = "Records are older than ${var.consumer_lag_limits.time_lag_seconds} s when they are handled."
      namespace = it.metrics_namespace, dimensions = { service = "consumer" }
      metric    = "RecordAgeMaxMs", stat = "Maximum", period = 60, operator = ">", threshold = 1000 * var.consumer_lag_limits.time_lag_seconds, periods = 15, if_silent = "notBreaching"
    }
    # What is neither handled nor put aside comes again. No line of a batch at all is the same as a line with 0.
    nothing-handled = {
      key       = name == "consumer" ? "nothing-handled" : "${name}-nothing-handled"
      when      = length(local.consumer_topics[name]) > 0, severity = "signal", runbook = "consumer-stalled", about = "The consumer has handled nothing."
      namespace = it.metrics_namespace, dimensions = { service = "consumer" }
      math      = { expression = "FILL(received, 0) - FILL(again, 0)", period = 60, stat = "Sum", metrics = { received = "RecordsReceived", again = "RecordsRetried" } }
      operator  = "<", threshold = 1, periods = it.stalled_minutes, if_silent = "breaching"
    }
    destination-fails = {
      when      = it.failure_destination != "none", severity = "page", runbook = "records-dropped", about = "Lambda cannot deliver failed batches to their destination."
      namespace = "AWS/Lambda", dimensions = { FunctionName = module.consumer[name].function.function_name }
      metric    = "DestinationDeliveryFailures", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    failure-queue-not-empty = {
      key       = name == "consumer" ? "failure-queue-not-empty" : "${name}-failure-queue-not-empty"
      when      = startswith(it.failure_destination, "arn:") && strcontains(it.failure_destination, ":sqs:"), severity = "ticket", runbook = "dead-letters", about = "Failed batches wait in the failure queue."
      namespace = "AWS/SQS", dimensions = { QueueName = reverse(split(":", it.failure_destination))[0] }
      metric    = "ApproximateNumberOfMessagesVisible", stat = "Maximum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
  } }

  nat_rows = {
    nat-ports-exhausted = {
      when   = true, severity = "ticket", runbook = "nat-ports-exhausted", about = "The NAT gateway has no port left for a new connection."
      metric = "ErrorPortAllocation", stat = "Sum", period = 60, operator = ">", threshold = 0, periods = 3, if_silent = "notBreaching"
    }
  }
}
