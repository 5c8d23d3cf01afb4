# CloudWatch alarms, from one table. Each row is a metric, a condition, how urgent it is, and the section of
# docs/RUNBOOKS.md that says what to do. Conditions: AWS's recommendations for MSK (docs/03_MONITORING.md has the sources).
#
#   when      whether this cluster has the metric at all; Express brokers lack many
#   severity  page = wake someone (also goes to paging_topic_arns), ticket = next working day
#   if_silent what missing data means: "missing" (unknown), "notBreaching" (nothing happened), "breaching", "ignore" (as before)

locals {
  # Partitions a broker, replicas included, that AWS recommends at most; sustained MB/s of Express brokers.
  # https://docs.aws.amazon.com/msk/latest/developerguide/bestpractices.html
  # https://docs.aws.amazon.com/msk/latest/developerguide/limits.html#msk-express-quota
  broker_capacity = {
    "kafka.t3.small" = { partitions = 300 }
    "kafka.large"    = { partitions = 1000 }
    "kafka.xlarge"   = { partitions = 1000 }
    "kafka.2xlarge"  = { partitions = 2000 }
    "kafka.larger"   = { partitions = 4000 }

    "express.large"    = { partitions = 1000, in_mb = 15.6, out_mb = 31.2 }
    "express.xlarge"   = { partitions = 1000, in_mb = 31.2, out_mb = 62.5 }
    "express.2xlarge"  = { partitions = 2500, in_mb = 62.5, out_mb = 125 }
    "express.4xlarge"  = { partitions = 6000, in_mb = 124.9, out_mb = 249.8 }
    "express.8xlarge"  = { partitions = 12000, in_mb = 250, out_mb = 500 }
    "express.12xlarge" = { partitions = 16000, in_mb = 375, out_mb = 750 }
    "express.16xlarge" = { partitions = 20000, in_mb = 500, out_mb = 1000 }
  }
  broker_family = split(".", local.broker_instance_type)[0]
  broker_size   = reverse(split(".", local.broker_instance_type))[0]
  capacity = merge({ in_mb = 0, out_mb = 0 }, lookup(local.broker_capacity, local.broker_instance_type,
  lookup(local.broker_capacity, "${local.broker_family}.${local.broker_size}", local.broker_capacity["kafka.larger"])))

  # Volumes without provisioned throughput end at 250 MiB/s.
  volume_mib_per_second = coalesce(var.storage.provisioned_throughput, 250)

  # --- One alarm a broker ---------------------------------------------------------------------------------------------

  broker_rows = {
    cpu-high = {
      when     = true, severity = "ticket", runbook = "broker-cpu-high", about = "CPU above ${var.alarm_limits.cpu_percent} %: the loss of another broker no longer fits."
      math     = { expression = "user + system", period = 300, stat = "Average", metrics = { user = "CpuUser", system = "CpuSystem" } }
      operator = ">", threshold = var.alarm_limits.cpu_percent, periods = 1, if_silent = "missing"
    }
    too-many-partitions = {
      when   = true, severity = "ticket", runbook = "too-many-partitions", about = "More partitions than AWS recommends for ${local.broker_instance_type} (${local.capacity.partitions})."
      metric = "PartitionCount", stat = "Maximum", period = 300, operator = ">", threshold = local.capacity.partitions, periods = 3, if_silent = "missing"
    }
    connections-near-limit = {
      when       = true, severity = "ticket", runbook = "connections-near-limit", about = "IAM connections above 80 % of the ${local.connections.per_broker} that a broker takes."
      metric     = "ClientConnectionCount", stat = "Sum", period = 60, operator = ">", threshold = 0.8 * local.connections.per_broker, periods = 3, if_silent = "notBreaching"
      dimensions = { "Client Authentication" = "IAM" }
    }
    connection-rate-high = {
      when   = true, severity = "ticket", runbook = "connections-near-limit", about = "New connections near the ${local.connections.new_per_second} a second that a broker takes with IAM."
      metric = "ConnectionCreationRate", stat = "Sum", period = 60, operator = ">=", threshold = 0.8 * local.connections.new_per_second, periods = 3, if_silent = "notBreaching"
    }
    connections-refused = {
      when   = true, severity = "page", runbook = "connections-refused", about = "The broker refuses IAM connections: too many new ones a second."
      metric = "IAMTooManyConnections", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    request-handlers-busy = {
      when   = true, severity = "ticket", runbook = "request-handlers-busy", about = "Request handler threads idle less than 30 % of the time."
      metric = "RequestHandlerAvgIdlePercent", stat = "Average", period = 300, operator = "<", threshold = 0.3, periods = 1, if_silent = "missing"
    }
    network-threads-busy = {
      when   = true, severity = "ticket", runbook = "network-threads-busy", about = "Network threads idle less than 30 % of the time."
      metric = "NetworkProcessorAvgIdlePercent", stat = "Average", period = 300, operator = "<", threshold = 0.3, periods = 1, if_silent = "missing"
    }
    under-min-isr-partitions = {
      when   = !local.is_express, severity = "page", runbook = "under-min-isr-partitions", about = "Partitions refuse writes: fewer copies in sync than min.insync.replicas."
      metric = "UnderMinIsrPartitionCount", stat = "Average", period = 60, operator = ">=", threshold = 1, periods = 1, if_silent = "missing"
    }
    under-replicated-partitions = {
      when   = !local.is_express, severity = "ticket", runbook = "under-replicated-partitions", about = "Partitions have lacked a copy for 15 minutes; one more broker lost stops writes."
      metric = "UnderReplicatedPartitions", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 3, if_silent = "missing"
    }
    data-disk-filling = {
      when   = !local.is_express, severity = "page", runbook = "data-disk-filling", about = "Data volume above ${var.alarm_limits.disk_percent} %; at 100 % the broker stops taking writes."
      metric = "KafkaDataLogsDiskUsed", stat = "Maximum", period = 300, operator = ">", threshold = var.alarm_limits.disk_percent, periods = 1, if_silent = "missing"
    }
    heap-high = {
      when   = !local.is_express, severity = "ticket", runbook = "heap-high", about = "Heap after garbage collection above ${var.alarm_limits.heap_percent} % for 15 minutes."
      metric = "HeapMemoryAfterGC", stat = "Average", period = 300, operator = ">", threshold = var.alarm_limits.heap_percent, periods = 3, if_silent = "missing"
    }
    inbound-network-shaped = {
      when   = !local.is_express, severity = "ticket", runbook = "network-shaped", about = "Packets to the broker are shaped: above the instance's network allowance."
      metric = "BwInAllowanceExceeded", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    outbound-network-shaped = {
      when   = !local.is_express, severity = "ticket", runbook = "network-shaped", about = "Packets from the broker are shaped: above the instance's network allowance."
      metric = "BwOutAllowanceExceeded", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    volume-throughput-high = {
      when     = !local.is_express, severity = "ticket", runbook = "volume-throughput-high", about = "The volume reads and writes above 80 % of its ${local.volume_mib_per_second} MiB/s."
      math     = { expression = "(read + written) / 300 / 1048576", period = 300, stat = "Sum", metrics = { read = "VolumeReadBytes", written = "VolumeWriteBytes" } }
      operator = ">=", threshold = 0.8 * local.volume_mib_per_second, periods = 3, if_silent = "missing"
    }
    cpu-credits-low = {
      when   = local.is_burstable, severity = "ticket", runbook = "cpu-credits-low", about = "Few CPU credits left; at 0 the broker is held to 20 % CPU."
      metric = "CPUCreditBalance", stat = "Average", period = 300, operator = "<=", threshold = 100, periods = 3, if_silent = "missing"
    }
    produce-throttled = {
      when   = local.is_express, severity = "ticket", runbook = "express-throttled", about = "Producers are throttled: the broker's inbound quota is used up."
      metric = "ProduceThrottleTime", stat = "Average", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    fetch-throttled = {
      when   = local.is_express, severity = "ticket", runbook = "express-throttled", about = "Consumers are throttled: the broker's outbound quota is used up."
      metric = "FetchThrottleTime", stat = "Average", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    inbound-near-quota = {
      when   = local.is_express, severity = "ticket", runbook = "express-throttled", about = "Bytes in above 80 % of what the broker size sustains (${local.capacity.in_mb} MB/s)."
      metric = "BytesInPerSec", stat = "Average", period = 300, operator = ">", threshold = 0.8 * local.capacity.in_mb * 1000000, periods = 3, if_silent = "notBreaching"
    }
    outbound-near-quota = {
      when   = local.is_express, severity = "ticket", runbook = "express-throttled", about = "Bytes out above 80 % of what the broker size sustains (${local.capacity.out_mb} MB/s)."
      metric = "BytesOutPerSec", stat = "Average", period = 300, operator = ">", threshold = 0.8 * local.capacity.out_mb * 1000000, periods = 3, if_silent = "notBreaching"
    }
  }

  # --- One alarm each -------------------------------------------------------------------------------------------------

  cluster_rows = {
    # Only the controller reports 1, the other nodes 0: the maximum, never the average or the sum.
    no-active-controller = {
      when   = true, severity = "page", runbook = "no-active-controller", about = "No active controller for 5 minutes: leaders cannot move."
      metric = "ActiveControllerCount", stat = "Maximum", period = 300, operator = "<", threshold = 1, periods = 1, if_silent = "breaching"
    }
    offline-partitions = {
      when   = !local.is_express, severity = "page", runbook = "offline-partitions", about = "Partitions have no leader: nobody can write or read them."
      metric = "OfflinePartitionsCount", stat = "Sum", period = 60, operator = ">", threshold = 0, periods = 1, if_silent = "missing"
    }
    storage-unusual = {
      when    = local.is_express, severity = "ticket", runbook = "storage-unusual", about = "Storage grows or shrinks outside its usual band; Express storage is billed by the byte."
      metric  = "StorageUsed", stat = "Maximum", period = 300, operator = "outside", threshold = null, periods = 3, if_silent = "notBreaching"
      anomaly = 2
    }
  }

  lag_rows = {
    consumer-lag-time = {
      when   = true, severity = "page", runbook = "consumer-lag", about = "Catching up would take more than ${var.consumer_lag_limits.time_lag_seconds} s."
      metric = "EstimatedMaxTimeLag", stat = "Maximum", period = 60, operator = ">", threshold = var.consumer_lag_limits.time_lag_seconds, periods = 15, if_silent = "ignore"
    }
    consumer-lag-partition = {
      when   = true, severity = "ticket", runbook = "consumer-lag", about = "One partition is more than ${var.consumer_lag_limits.partition_offset_lag} records behind for 15 minutes."
      metric = "MaxOffsetLag", stat = "Maximum", period = 300, operator = ">", threshold = var.consumer_lag_limits.partition_offset_lag, periods = 3, if_silent = "ignore"
    }
    consumer-lag-total = {
      when   = true, severity = "ticket", runbook = "consumer-lag", about = "All partitions together are more than ${var.consumer_lag_limits.total_offset_lag} records behind for 15 minutes."
      metric = "SumOffsetLag", stat = "Average", period = 300, operator = ">=", threshold = var.consumer_lag_limits.total_offset_lag, periods = 3, if_silent = "ignore"
    }
  }

  # Only mappings with pollers of their own publish metrics, in the groups that metrics_config names.
  mapping_metrics = try(local.provisioned.metrics, [])
  mapping_rows = {
    records-dropped = {
      when   = contains(local.mapping_metrics, "EventCount"), severity = "page", runbook = "records-dropped", about = "Lambda gave up on records and no destination has them."
      metric = "DroppedEventCount", stat = "Sum", period = 60, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    records-to-destination = {
      when   = contains(local.mapping_metrics, "EventCount") && local.failure_destination != "none", severity = "ticket", runbook = "dead-letters", about = "Lambda sent failed batches to the failure destination."
      metric = "OnFailureDestinationDeliveredEventCount", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    mapping-cannot-poll = {
      when   = contains(local.mapping_metrics, "ErrorCount"), severity = "page", runbook = "mapping-errors", about = "The event source mapping cannot read from the brokers."
      metric = "PollingErrorCount", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 2, if_silent = "notBreaching"
    }
    mapping-cannot-commit = {
      when   = contains(local.mapping_metrics, "ErrorCount"), severity = "ticket", runbook = "mapping-errors", about = "The event source mapping cannot commit offsets: records will be handled again."
      metric = "CommitErrorCount", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 2, if_silent = "notBreaching"
    }
    destination-unreachable = {
      when   = contains(local.mapping_metrics, "ErrorCount") && local.failure_destination != "none", severity = "page", runbook = "records-dropped", about = "The event source mapping cannot deliver to the failure destination."
      metric = "OnFailureDestinationDeliveryErrorCount", stat = "Sum", period = 60, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
  }
}

# ----------------------------------------------------------------------------
# Functions, API, network, the monitoring itself
# ----------------------------------------------------------------------------

locals {
  functions = {
    producer = { function = aws_lambda_function.producer, timeout_s = local.producer_timeout_seconds }
    consumer = { function = aws_lambda_function.consumer, timeout_s = var.consumer.timeout_seconds }
  }
  # A function that reserves none has no ceiling of its own to come near.
  reserved_concurrency = {
    producer = coalesce(var.producer.reserved_concurrency, local.producer_concurrency_limit)
    consumer = local.consumer_concurrency
  }

  function_rows = {
    errors = {
      when   = true, severity = "page", runbook = "function-errors", about = "Invocations failed: timeout, out of memory, or (consumer) a batch that must be retried."
      metric = "Errors", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    throttles = {
      when   = true, severity = "ticket", runbook = "function-throttles", about = "Invocations were throttled: reserved concurrency or the account's quota is used up."
      metric = "Throttles", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    slow = {
      when   = true, severity = "ticket", runbook = "function-slow", about = "95 % of invocations take up to more than 80 % of the timeout."
      metric = "Duration", stat = "p95", period = 300, operator = ">", threshold = null, periods = 3, if_silent = "notBreaching"
    }
    concurrency-near-limit = {
      when   = true, severity = "ticket", runbook = "function-throttles", about = "Above 80 % of the reserved concurrency is in use."
      metric = "ConcurrentExecutions", stat = "Maximum", period = 60, operator = ">", threshold = null, periods = 5, if_silent = "notBreaching"
    }
  }

  api_stage_dimensions = { ApiId = aws_apigatewayv2_api.this.id, Stage = aws_apigatewayv2_stage.default.name }

  # A share of few requests says nothing: below 20 in five minutes it counts as 0.
  other_rows = {
    api-5xx = {
      when      = true, severity = "page", runbook = "api-5xx", about = "Above ${var.alarm_limits.api_5xx_percent} % of requests end with 5xx."
      namespace = "AWS/ApiGateway", dimensions = local.api_stage_dimensions
      math      = { expression = "IF(requests > 20, 100 * failed / requests, 0)", period = 300, stat = "Sum", metrics = { failed = "5xx", requests = "Count" } }
      operator  = ">", threshold = var.alarm_limits.api_5xx_percent, periods = 1, if_silent = "notBreaching"
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

    # Metrics that the functions write themselves (embedded metric format).
    producer-authentication-fails = {
      when      = true, severity = "page", runbook = "authentication-fails", about = "The producer cannot sign in to the brokers."
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
    producer-queue-filling = {
      when      = true, severity = "ticket", runbook = "producer-queue-filling", about = "Records wait in the producer for the brokers; at 10,000 callers get 429."
      namespace = local.metrics_namespace, dimensions = { service = "producer" }
      metric    = "QueueDepth", stat = "Maximum", period = 60, operator = ">", threshold = 8000, periods = 3, if_silent = "notBreaching"
    }
    consumer-dead-letters = {
      when      = true, severity = "ticket", runbook = "dead-letters", about = "Records went to the dead-letter topic: nobody handled them."
      namespace = local.metrics_namespace, dimensions = { service = "consumer" }
      metric    = "DeadLettered", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    consumer-poison = {
      when      = length(local.dead_letter_topics) == 0, severity = "page", runbook = "dead-letters", about = "Records cannot be handled, and there is no dead letter to take them."
      namespace = local.metrics_namespace, dimensions = { service = "consumer" }
      metric    = "RecordsPoisoned", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    # An event that is none at all writes no metrics: it fails the invocation (consumer-errors).
    consumer-undecodable-records = {
      when      = true, severity = "ticket", runbook = "undecodable-records", about = "The consumer cannot decode the content of records; they go to the dead letter, or come again where there is none."
      namespace = local.metrics_namespace, dimensions = { service = "consumer" }
      metric    = "DecodeErrors", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    consumer-records-old = {
      when      = true, severity = "page", runbook = "consumer-lag", about = "Records are older than ${var.consumer_lag_limits.time_lag_seconds} s when they are handled."
      namespace = local.metrics_namespace, dimensions = { service = "consumer" }
      metric    = "RecordAgeMaxMs", stat = "Maximum", period = 60, operator = ">", threshold = 1000 * var.consumer_lag_limits.time_lag_seconds, periods = 15, if_silent = "notBreaching"
    }
    consumer-offset-lag = {
      when      = length(local.consumed_topics) > 0, severity = "ticket", runbook = "consumer-lag", about = "Lambda sees a topic more than ${var.consumer_lag_limits.total_offset_lag} records behind for 15 minutes."
      namespace = "AWS/Lambda", dimensions = { FunctionName = aws_lambda_function.consumer.function_name }
      metric    = "OffsetLag", stat = "Maximum", period = 300, operator = ">", threshold = var.consumer_lag_limits.total_offset_lag, periods = 3, if_silent = "ignore"
    }
    consumer-destination-fails = {
      when      = local.failure_destination != "none", severity = "page", runbook = "records-dropped", about = "Lambda cannot deliver failed batches to their destination."
      namespace = "AWS/Lambda", dimensions = { FunctionName = aws_lambda_function.consumer.function_name }
      metric    = "DestinationDeliveryFailures", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    failure-queue-not-empty = {
      when      = local.failure_service == "sqs", severity = "ticket", runbook = "dead-letters", about = "Failed batches wait in the failure queue."
      namespace = "AWS/SQS", dimensions = { QueueName = reverse(split(":", local.failure_destination))[0] }
      metric    = "ApproximateNumberOfMessagesVisible", stat = "Maximum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }

    # Who watches the watcher.
    prometheus-alerts-undelivered = {
      when      = local.has_prometheus, severity = "page", runbook = "alerts-undelivered", about = "Prometheus alerts do not reach the alarm topic."
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

  nat_rows = {
    nat-ports-exhausted = {
      when   = true, severity = "page", runbook = "nat-ports-exhausted", about = "The NAT gateway has no port left for a new connection."
      metric = "ErrorPortAllocation", stat = "Sum", period = 60, operator = ">", threshold = 0, periods = 3, if_silent = "notBreaching"
    }
  }
}
