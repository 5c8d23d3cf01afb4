# Alarms: which there are for which cluster, that each acts, and that each watches something that exists.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

run "every_alarm_acts" {
  command = plan

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : contains(alarm.alarm_actions, aws_sns_topic.alarms.arn) != strcontains(join(" ", [for composite in aws_cloudwatch_composite_alarm.this : composite.alarm_rule]), "(\"${alarm.alarm_name}\")")])
    error_message = "An alarm that tells nobody is decoration, and one that tells what a composite alarm tells is a second ring: each must do one of the two."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_composite_alarm.this : alarm.actions_enabled && contains(alarm.alarm_actions, aws_sns_topic.alarms.arn) && contains(alarm.ok_actions, aws_sns_topic.alarms.arn)])
    error_message = "Composite alarms must reach the alarm topic, when they start and when they end."
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) > 60
    error_message = "Three standard brokers have over 60 alarms."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : try(length(alarm.ok_actions), 0) == 0]) && length(aws_cloudwatch_composite_alarm.this) <= 6
    error_message = "After the first apply each alarm goes from no data to OK: with an action on that, as many mails as alarms."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : contains(["missing", "notBreaching", "breaching", "ignore"], alarm.treat_missing_data)])
    error_message = "Each alarm must say what missing data means."
  }
  assert {
    condition     = alltrue([for key, alarm in aws_cloudwatch_metric_alarm.this : alarm.treat_missing_data == local.alarms[key].if_silent])
    error_message = "Each alarm must treat missing data as its row says."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_name) <= 255 && length(alarm.alarm_description) <= 1024])
    error_message = "CloudWatch takes 255 characters of a name and 1,024 of a description."
  }
}

run "every_alarm_of_express_brokers_acts_and_exists" {
  command = plan

  variables {
    broker_type = "express"
    esm_mode    = "provisioned"
    consumers   = { consumer = { failure_destination = "arn:aws:sqs:us-east-1:123456789012:failures" } }
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : contains(alarm.alarm_actions, aws_sns_topic.alarms.arn) != strcontains(join(" ", [for composite in aws_cloudwatch_composite_alarm.this : composite.alarm_rule]), "(\"${alarm.alarm_name}\")")])
    error_message = "An alarm that tells nobody is decoration, and one that tells what a composite alarm tells is a second ring: each must do one of the two."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_composite_alarm.this : alarm.actions_enabled && contains(alarm.alarm_actions, aws_sns_topic.alarms.arn) && contains(alarm.ok_actions, aws_sns_topic.alarms.arn)])
    error_message = "Composite alarms must reach the alarm topic, when they start and when they end."
  }
  # Names and dimensions exactly as AWS, and the functions, publish them.
  assert {
    condition = alltrue([for use in flatten([for alarm in aws_cloudwatch_metric_alarm.this : concat(
      [for _ in alarm.metric_name[*] : { namespace = alarm.namespace, name = alarm.metric_name, dimensions = alarm.dimensions }],
      [for query in alarm.metric_query : { namespace = query.metric[0].namespace, name = query.metric[0].metric_name, dimensions = query.metric[0].dimensions } if length(query.metric) > 0],
      )]) :
      use.namespace == "msk-ha-cluster" ? join(",", keys(use.dimensions)) == "service" && contains(jsondecode(file("tests/data/function-metrics.json"))[use.dimensions.service], use.name) :
      contains([for dimensions in try(jsondecode(file("tests/data/cloudwatch-metrics.json"))[use.namespace == "AWS/Kafka" ? "AWS/Kafka/express" : use.namespace][use.name].dimensions, []) : join(",", sort(dimensions))], join(",", keys(use.dimensions)))
    ])
    error_message = "An alarm on a metric name or a set of dimensions that does not exist never goes off."
  }
  assert {
    condition     = contains(keys(aws_cloudwatch_metric_alarm.this), "failure-queue-not-empty") && aws_cloudwatch_metric_alarm.this["failure-queue-not-empty"].dimensions.QueueName == "failures"
    error_message = "A failure queue must be watched, by its name."
  }
  assert {
    condition     = length([for key in keys(aws_cloudwatch_metric_alarm.this) : key if length(regexall("min-isr|under-replicated|offline-partitions|disk|heap|shaped|volume", key)) > 0]) == 0
    error_message = "Express brokers do not publish these metrics: such alarms would stay without data."
  }
  assert {
    condition     = alltrue([for row in ["produce-throttled", "fetch-throttled", "inbound-near-quota", "outbound-near-quota"] : contains(keys(aws_cloudwatch_metric_alarm.this), "${row}-broker-3")]) && aws_cloudwatch_metric_alarm.this["storage-unusual"].threshold_metric_id == "band"
    error_message = "Express brokers are watched by their throttling, their quotas and the storage that they are billed for."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["inbound-near-quota-broker-1"].threshold == 0.8 * 15.6 * 1000000 && aws_cloudwatch_metric_alarm.this["too-many-partitions-broker-1"].threshold == 1000
    error_message = "express.m7g.large sustains 15.6 MB/s and takes 1,000 partitions."
  }
}

run "alarm_metrics_exist_for_standard_brokers" {
  command = plan

  variables {
    esm_mode        = "provisioned"
    metrics_backend = "none"
    producer        = { provisioned_concurrency = 2 }
    alarm_limits    = { no_requests_minutes = 60 }
    api             = { domain = { name = "publish.example.com", certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-1111-2222-3333-444444444444", hosted_zone_id = "Z0123456789" } }
  }

  # Names and dimensions exactly as AWS, and the functions, publish them.
  assert {
    condition = alltrue([for use in flatten([for alarm in aws_cloudwatch_metric_alarm.this : concat(
      [for _ in alarm.metric_name[*] : { namespace = alarm.namespace, name = alarm.metric_name, dimensions = alarm.dimensions }],
      [for query in alarm.metric_query : { namespace = query.metric[0].namespace, name = query.metric[0].metric_name, dimensions = query.metric[0].dimensions } if length(query.metric) > 0],
      )]) :
      use.namespace == "msk-ha-cluster" ? join(",", keys(use.dimensions)) == "service" && contains(jsondecode(file("tests/data/function-metrics.json"))[use.dimensions.service], use.name) :
      contains([for dimensions in try(jsondecode(file("tests/data/cloudwatch-metrics.json"))[use.namespace == "AWS/Kafka" ? "AWS/Kafka/standard" : use.namespace][use.name].dimensions, []) : join(",", sort(dimensions))], join(",", keys(use.dimensions)))
    ])
    error_message = "An alarm on a metric name or a set of dimensions that does not exist never goes off."
  }
  assert {
    condition     = alltrue([for row in ["records-dropped", "records-to-destination", "mapping-cannot-poll", "mapping-cannot-commit", "destination-unreachable", "mapping-lags", "nothing-committed"] : [for use in concat([aws_cloudwatch_metric_alarm.this["${row}-orders"].dimensions], flatten([for query in aws_cloudwatch_metric_alarm.this["${row}-orders"].metric_query : query.metric[*].dimensions])) : use.EventSourceMappingUUID if use != null] == [module.consumer["consumer"].mappings["orders"].uuid]])
    error_message = "Dropped records and errors of each mapping must be watched."
  }
  assert {
    condition     = length(setsubtract(["lambda-concurrency-near-quota", "producer-warm-environments-exceeded", "certificate-expires", "bastion-fails-its-checks", "no-requests", "flow-log-silent"], keys(aws_cloudwatch_metric_alarm.this))) == 0
    error_message = "What is shared with others, and what ends by itself, must be watched."
  }
}

run "alarm_metrics_exist_for_small_brokers" {
  command = plan

  variables {
    broker_instance_type = "kafka.t3.small"
    use_vpc_endpoints    = true
    enable_bastion       = false
    metrics_backend      = "none"
  }

  # Names and dimensions exactly as AWS, and the functions, publish them.
  assert {
    condition = alltrue([for use in flatten([for alarm in aws_cloudwatch_metric_alarm.this : concat(
      [for _ in alarm.metric_name[*] : { namespace = alarm.namespace, name = alarm.metric_name, dimensions = alarm.dimensions }],
      [for query in alarm.metric_query : { namespace = query.metric[0].namespace, name = query.metric[0].metric_name, dimensions = query.metric[0].dimensions } if length(query.metric) > 0],
      )]) :
      use.namespace == "msk-ha-cluster" ? join(",", keys(use.dimensions)) == "service" && contains(jsondecode(file("tests/data/function-metrics.json"))[use.dimensions.service], use.name) :
      contains([for dimensions in try(jsondecode(file("tests/data/cloudwatch-metrics.json"))[use.namespace == "AWS/Kafka" ? "AWS/Kafka/standard" : use.namespace][use.name].dimensions, []) : join(",", sort(dimensions))], join(",", keys(use.dimensions)))
    ])
    error_message = "An alarm on a metric name or a set of dimensions that does not exist never goes off."
  }
  assert {
    condition     = length([for key in keys(aws_cloudwatch_metric_alarm.this) : key if startswith(key, "cpu-credits-low-broker-")]) == 3 && aws_cloudwatch_metric_alarm.this["connection-rate-high-broker-1"].threshold == 3.2
    error_message = "t3.small has CPU credits to lose, and takes 4 new connections a second."
  }
  assert {
    condition     = length([for key in keys(aws_cloudwatch_metric_alarm.this) : key if startswith(key, "nat-") || startswith(key, "bastion-") || startswith(key, "cpu-high")]) == 0
    error_message = "Without NAT gateways and bastion there is nothing to watch, and a burstable broker at 60 % lives on its credits."
  }
}

run "alarms_fit_standard_brokers" {
  command = plan

  variables {
    metrics_backend = "none"
  }

  assert {
    condition = alltrue([for row in ["cpu-high", "too-many-partitions", "connections-near-limit", "connection-rate-high", "connections-refused", "request-handlers-busy", "network-threads-busy", "under-min-isr-partitions", "under-replicated-partitions",
    "data-disk-filling", "data-disk-nearly-full", "broker-silent", "broker-gone", "heap-high", "inbound-network-shaped", "outbound-network-shaped", "volume-throughput-high"] : alltrue([for id in ["1", "2", "3"] : contains(keys(aws_cloudwatch_metric_alarm.this), "${row}-broker-${id}")])])
    error_message = "Each of these must watch each broker."
  }
  assert {
    condition     = length([for key in keys(aws_cloudwatch_metric_alarm.this) : key if length(regexall("throttled|bound-near-quota|storage-unusual|cpu-credits", key)) > 0]) == 0
    error_message = "Standard brokers have no Express quotas, and m7g has no CPU credits."
  }
  assert {
    condition     = length([for key in keys(aws_cloudwatch_metric_alarm.this) : key if length(regexall("^(records-dropped|records-to-destination|mapping-|destination-unreachable|nothing-committed)", key)) > 0]) == 0
    error_message = "An on-demand mapping publishes no metrics: alarms on them would be blind."
  }
  assert {
    condition     = length([for key in keys(aws_cloudwatch_metric_alarm.this) : key if startswith(key, "nat-ports-exhausted-")]) == 3
    error_message = "Three gateways, three alarms."
  }
}

run "silence_means_what_each_row_says" {
  command = plan

  # Every row of the table, whether this cluster has its metric or not; a new row needs a line here.
  assert {
    condition = jsonencode({ for key, row in merge(local.broker_rows, local.cluster_rows, local.lag_rows["orders"], local.mapping_rows["orders"], local.function_rows, { for key, row in local.consumer_rows.consumer : try(row.key, "consumer-${key}") => row }, local.other_rows, local.nat_rows) : key => row.if_silent }) == jsonencode({
      # Reported all the time: silence is a broker or a cluster of which nothing is known.
      bastion-fails-its-checks    = "missing"
      certificate-expires         = "missing"
      cpu-high                    = "missing"
      data-disk-filling           = "missing"
      data-disk-nearly-full       = "missing"
      cpu-credits-low             = "missing"
      heap-high                   = "missing"
      network-threads-busy        = "missing"
      offline-partitions          = "missing"
      request-handlers-busy       = "missing"
      too-many-partitions         = "missing"
      under-min-isr-partitions    = "missing"
      under-replicated-partitions = "missing"
      volume-throughput-high      = "missing"

      # Here silence is the fault itself. Each but no-requests tells people through a composite alarm, which asks for more.
      broker-gone          = "breaching"
      broker-silent        = "breaching"
      flow-log-silent      = "breaching"
      no-active-controller = "breaching"
      no-requests          = "breaching"
      nothing-committed    = "breaching"
      nothing-handled      = "breaching"

      # MSK reports no lag while a group has no stable members: that is not the end of a lag.
      consumer-lag-time = "ignore"
      lag-grows         = "ignore"
      mapping-lags      = "ignore"
      records-wait      = "ignore"

      # Counted only when something happens: silence is nothing of it.
      api-4xx                             = "notBreaching"
      api-5xx                             = "notBreaching"
      api-slow                            = "notBreaching"
      concurrency-near-limit              = "notBreaching"
      connection-rate-high                = "notBreaching"
      connections-near-limit              = "notBreaching"
      connections-refused                 = "notBreaching"
      consumer-dead-letters               = "notBreaching"
      consumer-destination-fails          = "notBreaching"
      consumer-poison                     = "notBreaching"
      consumer-records-old                = "notBreaching"
      consumer-undecodable-records        = "notBreaching"
      destination-unreachable             = "notBreaching"
      errors                              = "notBreaching"
      failure-queue-not-empty             = "notBreaching"
      fetch-throttled                     = "notBreaching"
      inbound-near-quota                  = "notBreaching"
      inbound-network-shaped              = "notBreaching"
      lambda-concurrency-near-quota       = "notBreaching"
      mapping-cannot-commit               = "notBreaching"
      mapping-cannot-poll                 = "notBreaching"
      nat-ports-exhausted                 = "notBreaching"
      outbound-near-quota                 = "notBreaching"
      outbound-network-shaped             = "notBreaching"
      produce-throttled                   = "notBreaching"
      producer-authentication-fails       = "notBreaching"
      producer-rebuilds                   = "notBreaching"
      producer-records-failed             = "notBreaching"
      producer-warm-environments-exceeded = "notBreaching"
      prometheus-alerts-undelivered       = "notBreaching"
      prometheus-rules-fail               = "notBreaching"
      prometheus-samples-discarded        = "notBreaching"
      records-dropped                     = "notBreaching"
      records-published                   = "notBreaching"
      records-to-destination              = "notBreaching"
      slow                                = "notBreaching"
      storage-unusual                     = "notBreaching"
      throttles                           = "notBreaching"
    })
    error_message = "What missing data means was chosen for each row: an alarm must neither end nor start because a metric falls silent."
  }
}

run "conditions_as_aws_recommends" {
  command = plan

  variables {
    metrics_backend = "none"
  }

  # A ticket waits for the third of three periods, where AWS's table takes one: what one batch or rebalance does is no fault.
  assert {
    condition = jsonencode({ for key, alarm in aws_cloudwatch_metric_alarm.this : key => "${alarm.statistic} ${alarm.comparison_operator} ${alarm.threshold} ${alarm.datapoints_to_alarm}/${alarm.evaluation_periods}x${alarm.period}" if contains(
      ["no-active-controller", "offline-partitions", "under-min-isr-partitions-broker-1", "under-replicated-partitions-broker-1", "data-disk-filling-broker-1", "data-disk-nearly-full-broker-1", "heap-high-broker-1", "request-handlers-busy-broker-1", "network-threads-busy-broker-1",
      "inbound-network-shaped-broker-1", "connections-refused-broker-1", "connection-rate-high-broker-1", "connections-near-limit-broker-1", "too-many-partitions-broker-1", "consumer-lag-time-orders", "producer-errors"], key) }) == jsonencode({
      "no-active-controller"                 = "Maximum LessThanThreshold 1 5/5x60"
      "offline-partitions"                   = "Sum GreaterThanThreshold 0 1/1x60"
      "under-min-isr-partitions-broker-1"    = "Average GreaterThanOrEqualToThreshold 1 1/1x60"
      "under-replicated-partitions-broker-1" = "Sum GreaterThanThreshold 0 3/3x300"
      "data-disk-filling-broker-1"           = "Maximum GreaterThanThreshold 85 3/3x300"
      "data-disk-nearly-full-broker-1"       = "Maximum GreaterThanThreshold 92.5 1/1x300"
      "heap-high-broker-1"                   = "Average GreaterThanThreshold 60 3/3x300"
      "request-handlers-busy-broker-1"       = "Average LessThanThreshold 0.3 3/3x300"
      "network-threads-busy-broker-1"        = "Average LessThanThreshold 0.3 3/3x300"
      "inbound-network-shaped-broker-1"      = "Sum GreaterThanThreshold 0 3/3x300"
      "connections-refused-broker-1"         = "Sum GreaterThanThreshold 0 1/1x300"
      "connection-rate-high-broker-1"        = "Sum GreaterThanOrEqualToThreshold 80 3/3x60"
      "connections-near-limit-broker-1"      = "Sum GreaterThanThreshold 2400 3/3x60"
      "too-many-partitions-broker-1"         = "Maximum GreaterThanThreshold 1000 3/3x300"
      "consumer-lag-time-orders"             = "Maximum GreaterThanThreshold 300 15/15x60"
      "producer-errors"                      = "Sum GreaterThanThreshold 0 2/3x300"
    })
    error_message = "Statistic, comparison, limit and time must be those of AWS's table: an average of ActiveControllerCount, for one, can never be below 1 on all nodes."
  }
  assert {
    condition     = [for query in aws_cloudwatch_metric_alarm.this["cpu-high-broker-2"].metric_query : query.expression if query.return_data][0] == "user + system"
    error_message = "CPU is user and system together."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["volume-throughput-high-broker-1"].threshold == 0.8 * 75 && aws_cloudwatch_metric_alarm.this["connections-near-limit-broker-1"].dimensions["Client Authentication"] == "IAM"
    error_message = "An m7g.large carries 78.75 MB/s to a volume that could take 250 MiB/s: 80 % of the smaller figure; and of the connections, those with IAM."
  }
  assert {
    condition     = [for query in aws_cloudwatch_metric_alarm.this["api-5xx"].metric_query : query.expression if query.return_data][0] == "IF(failed >= 5, 100 * failed / requests, 0)" && aws_cloudwatch_metric_alarm.this["api-5xx"].datapoints_to_alarm == 2
    error_message = "One failed request of a quiet night must wake nobody."
  }
  assert {
    condition     = toset(flatten([for key in ["api-4xx", "api-5xx"] : [for query in aws_cloudwatch_metric_alarm.this[key].metric_query : query.metric[*].metric_name]])) == toset(["4xx", "5xx", "Count"])
    error_message = "An HTTP API publishes 4xx and 5xx; 4XXError and 5XXError are a REST API's."
  }
}

run "lag_alarms_know_their_group" {
  command = plan

  variables {
    topics = { orders = {}, payments = {}, audit = { consumed = false } }
  }

  assert {
    condition     = toset([for key, alarm in aws_cloudwatch_metric_alarm.this : "${alarm.dimensions["Consumer Group"]}/${alarm.dimensions["Topic"]}" if startswith(key, "records-wait-")]) == toset(["msk-ha-cluster-orders/orders", "msk-ha-cluster-payments/payments"])
    error_message = "Each consumed topic is watched through the group of its own mapping; one that nobody consumes is not."
  }
  assert {
    condition     = alltrue([for topic, mapping in module.consumer["consumer"].mappings : aws_cloudwatch_metric_alarm.this["records-wait-${topic}"].dimensions["Consumer Group"] == mapping.amazon_managed_kafka_event_source_config[0].consumer_group_id])
    error_message = "Alarm and event source mapping must name the same group."
  }
}

run "mapping_alarms_follow_the_metric_groups" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    consumers = { consumer = { event_source_metrics = ["ErrorCount"] } }
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.this), "records-dropped-orders") && contains(keys(aws_cloudwatch_metric_alarm.this), "mapping-cannot-poll-orders")
    error_message = "Without the group EventCount there is no DroppedEventCount to watch."
  }
}

run "function_limits_follow_the_functions" {
  command = plan

  variables {
    consumers = { consumer = { timeout_seconds = 100 } }
    producer  = { reserved_concurrency = -1 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["consumer-slow"].threshold == 80000 && aws_cloudwatch_metric_alarm.this["producer-slow"].threshold == 0.8 * 28000 && aws_cloudwatch_metric_alarm.this["producer-slow"].extended_statistic == "p95"
    error_message = "Slow is 80 % of the timeout, for 95 % of invocations."
  }
  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.this), "producer-concurrency-near-limit")
    error_message = "A function without reserved concurrency has no ceiling of its own."
  }
}

run "alarms_reach_people_and_nobody_else_writes_to_their_topic" {
  command = plan

  variables {
    paging_topic_arns = ["arn:aws:sns:us-east-1:123456789012:on-call"]
    alarm_emails      = ["oncall@example.com"]
  }

  # Another key than that of everything else.
  override_resource {
    target          = aws_kms_key.alarms
    override_during = plan
    values          = { arn = "arn:aws:kms:us-east-1:123456789012:key/55555555-6666-7777-8888-999999999999" }
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_composite_alarm.this), [for alarm in aws_cloudwatch_metric_alarm.this : alarm if length(alarm.alarm_actions) > 0]) : contains(alarm.alarm_actions, "arn:aws:sns:us-east-1:123456789012:on-call") == startswith(alarm.alarm_description, "[page]")])
    error_message = "Pages, and only pages, go to paging_topic_arns."
  }
  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == "arn:aws:kms:us-east-1:123456789012:key/55555555-6666-7777-8888-999999999999"
    error_message = "The alarm topic must use its own key: with the other one it could not tell that that is disabled."
  }
  assert {
    condition     = !strcontains(aws_kms_key.this.policy, "events.amazonaws.com") && !strcontains(aws_kms_key.alarms.policy, "logs.")
    error_message = "The topic's key is not that of the data, whose end the topic has to tell."
  }
  assert {
    condition     = toset(flatten([for statement in jsondecode(aws_sns_topic_policy.alarms.policy).Statement : values(statement.Principal) if statement.Effect == "Allow"])) == toset(["cloudwatch.amazonaws.com", "aps.amazonaws.com", "events.amazonaws.com"]) && alltrue([for statement in jsondecode(aws_sns_topic_policy.alarms.policy).Statement : statement.Condition.StringEquals["aws:SourceAccount"] == "123456789012" if statement.Effect == "Allow" && try(statement.Principal.Service, "") != "events.amazonaws.com"])
    error_message = "Only CloudWatch and Prometheus of this account, and EventBridge, may publish."
  }
  assert {
    condition     = length([for statement in jsondecode(aws_kms_key.alarms.policy).Statement : 1 if statement.Effect == "Allow" && alltrue([for service in ["cloudwatch.amazonaws.com", "aps.amazonaws.com"] : contains(flatten(values(statement.Principal)), service)]) && contains(flatten([statement.Action]), "kms:GenerateDataKey*")]) == 1
    error_message = "Both must be allowed to use the topic's key, or alarms vanish without a trace."
  }
  assert {
    condition     = length([for statement in jsondecode(aws_kms_key.alarms.policy).Statement : 1 if statement.Effect == "Allow" && try(statement.Principal.Service, "") == "events.amazonaws.com" && contains(flatten([statement.Action]), "kms:GenerateDataKey*")]) == 1
    error_message = "So must EventBridge, or nobody hears that the key is to be deleted."
  }
  assert {
    condition     = [for subscription in aws_sns_topic_subscription.email : subscription.endpoint] == ["oncall@example.com"]
    error_message = "Each address must be subscribed."
  }
}

# ----------------------------------------------------------------------------
# Refused inputs
# ----------------------------------------------------------------------------

run "refuses_limits_that_make_no_sense" {
  command = plan

  variables {
    alarm_emails               = ["oncall"]
    paging_topic_arns          = ["on-call"]
    runbook_url                = "https://example.com/runbooks#top"
    consumer_lag_limits        = { time_lag_seconds = 0 }
    alarm_limits               = { disk_percent = 100, no_requests_minutes = 1441 }
    scrape_interval_seconds    = 10
    kraft_controller_endpoints = ["c-10001.example.com:11001"]
    grafana                    = { authentication_providers = [] }
  }

  expect_failures = [var.alarm_emails, var.paging_topic_arns, var.runbook_url, var.consumer_lag_limits, var.alarm_limits, var.scrape_interval_seconds, var.kraft_controller_endpoints, var.grafana]
}

run "refuses_minutes_whose_figures_are_still_on_their_way" {
  command = plan

  variables {
    alarm_limits = { no_requests_minutes = 4 }
  }

  expect_failures = [var.alarm_limits]
}

run "refuses_what_aws_does_not_take" {
  command = plan

  variables {
    paging_topic_arns = [for name in ["a", "b", "c", "d", "e"] : "arn:aws:sns:us-east-1:123456789012:${name}"]
    grafana           = { token_seconds = 2592001 }
    metrics_backend   = "prometheus"
  }

  expect_failures = [var.paging_topic_arns, var.grafana, var.metrics_backend]
}

run "refuses_prometheus_on_a_missing_bastion" {
  command = plan

  variables {
    metrics_backend = "bastion"
    enable_bastion  = false
  }

  expect_failures = [var.metrics_backend]
}

run "topic_too_long_for_the_names_of_its_alarms" {
  command = plan

  variables {
    topics    = { (join("", [for _ in range(235) : "t"])) = {} }
    consumers = { consumer = { consumer_group = "{name}" } }
  }

  expect_failures = [aws_cloudwatch_metric_alarm.this]
}
