# What several alarms are together, and what AWS tells as an event: whom it reaches, and when.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

run "an_unhealthy_cluster_pages_once" {
  command = plan

  variables {
    metrics_backend = "none"
  }

  # On the first apply brokers and controllers are silent alike: nobody is told.
  assert {
    condition = aws_cloudwatch_composite_alarm.this["cluster-unhealthy"].alarm_rule == join(" OR ", concat(
      [for part in ["offline-partitions", "under-min-isr-partitions-broker-1", "under-min-isr-partitions-broker-2", "under-min-isr-partitions-broker-3"] : "ALARM(\"msk-ha-cluster-${part}\")"],
      ["(ALARM(\"msk-ha-cluster-no-active-controller\") AND (OK(\"msk-ha-cluster-broker-silent-broker-1\") OR OK(\"msk-ha-cluster-broker-silent-broker-2\") OR OK(\"msk-ha-cluster-broker-silent-broker-3\")))"],
    ))
    error_message = "Leaderless partitions, refused writes, or no controller while brokers report: one page."
  }
  # Whichever metric of a new cluster comes first: brokers speak when they have spoken for longer than the metrics may lag.
  # Whichever ends first in a gap of all of CloudWatch: brokers fall silent before the controller does.
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["broker-silent-broker-1"].evaluation_periods - aws_cloudwatch_metric_alarm.this["broker-silent-broker-1"].datapoints_to_alarm >= 5 && aws_cloudwatch_metric_alarm.this["broker-silent-broker-1"].datapoints_to_alarm > 2 && aws_cloudwatch_metric_alarm.this["broker-silent-broker-1"].datapoints_to_alarm < aws_cloudwatch_metric_alarm.this["no-active-controller"].datapoints_to_alarm
    error_message = "A broker speaks when it has reported for more than 5 minutes, the last two of which are not there yet; in the first ones its controllers may be behind."
  }
  assert {
    condition     = aws_cloudwatch_composite_alarm.this["data-disks-nearly-full"].alarm_rule == join(" OR ", [for id in ["1", "2", "3"] : "ALARM(\"msk-ha-cluster-data-disk-nearly-full-broker-${id}\")"])
    error_message = "Three brokers that fill alike are one page."
  }
}

run "the_largest_cluster_fits_into_composite_alarms" {
  command = plan

  variables {
    broker_count    = 60
    metrics_backend = "none"
  }

  # 60 of refused writes, one of leaderless partitions, one controller, and three brokers that are asked.
  assert {
    condition     = length(regexall("\\(\"", aws_cloudwatch_composite_alarm.this["cluster-unhealthy"].alarm_rule)) == 65
    error_message = "Parts of cluster-unhealthy: ${aws_cloudwatch_composite_alarm.this["cluster-unhealthy"].alarm_rule}"
  }
  assert {
    condition     = length(regexall("\\(\"", aws_cloudwatch_composite_alarm.this["broker-unreachable"].alarm_rule)) == 63
    error_message = "Parts of broker-unreachable: ${aws_cloudwatch_composite_alarm.this["broker-unreachable"].alarm_rule}"
  }
}

run "records_at_risk_page_once" {
  command = plan

  variables {
    esm_mode = "provisioned"
  }

  assert {
    condition     = aws_cloudwatch_composite_alarm.this["messages-at-risk"].alarm_rule == join(" OR ", [for part in ["consumer-destination-fails", "destination-unreachable-orders", "records-dropped-orders"] : "ALARM(\"msk-ha-cluster-${part}\")"])
    error_message = "Dropped batches and undeliverable failures are one event."
  }
  assert {
    condition     = !contains(keys(aws_cloudwatch_composite_alarm.this), "under-replicated-partitions") && length(setintersection(["broker-gone-broker-1", "consumer-lag-time-orders", "cpu-high-broker-1"], keys(aws_cloudwatch_metric_alarm.this))) == 0
    error_message = "Where Prometheus tells of a condition, CloudWatch must not tell of it again."
  }
}

# --- A dead consumer: within 10 minutes of the first record that waits. MSK's metrics are there within two minutes. ---

run "a_dead_consumer_pages_within_ten_minutes_on_demand" {
  command = plan

  assert {
    condition     = aws_cloudwatch_composite_alarm.this["consumer-stalled"].alarm_rule == "(ALARM(\"msk-ha-cluster-records-wait-orders\") AND ALARM(\"msk-ha-cluster-nothing-handled\")) OR (ALARM(\"msk-ha-cluster-records-published\") AND ALARM(\"msk-ha-cluster-nothing-handled\"))"
    error_message = "Records wait, or are published while MSK reports no lag, and nothing is handled."
  }
  assert {
    condition     = startswith(aws_cloudwatch_composite_alarm.this["consumer-stalled"].alarm_description, "[page]") && alltrue([for name in regexall("\\(\"msk-ha-cluster-([^\"]+)\"", aws_cloudwatch_composite_alarm.this["consumer-stalled"].alarm_rule) : local.alarms[name[0]].datapoints * try(local.alarms[name[0]].math.period, local.alarms[name[0]].period) + 120 <= 600])
    error_message = "Of every part, periods, datapoints and the metrics' delay must stay within 10 minutes."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["nothing-handled"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.this["records-wait-orders"].treat_missing_data == "ignore" && aws_cloudwatch_metric_alarm.this["records-published"].treat_missing_data == "notBreaching"
    error_message = "A function that is never invoked writes no metric: silence must count as nothing handled, and never as a lag that ended."
  }
}

run "a_dead_consumer_pages_within_ten_minutes_provisioned" {
  command = plan

  variables {
    esm_mode = "provisioned"
    topics   = { orders = {}, payments = {}, audit = { consumed = false } }
  }

  # Each topic by itself: the function still handles the other's records. Nothing is concluded from what is published, since
  # nobody is to consume the audit trail.
  assert {
    condition     = aws_cloudwatch_composite_alarm.this["consumer-stalled"].alarm_rule == join(" OR ", [for topic in ["orders", "payments"] : "((ALARM(\"msk-ha-cluster-records-wait-${topic}\") OR ALARM(\"msk-ha-cluster-mapping-lags-${topic}\")) AND ALARM(\"msk-ha-cluster-nothing-committed-${topic}\"))"])
    error_message = "Records of a topic wait, as MSK says, or the mapping of a group of which MSK says nothing, and the mapping commits nothing."
  }
  assert {
    condition     = startswith(aws_cloudwatch_composite_alarm.this["consumer-stalled"].alarm_description, "[page]") && alltrue([for name in regexall("\\(\"msk-ha-cluster-([^\"]+)\"", aws_cloudwatch_composite_alarm.this["consumer-stalled"].alarm_rule) : local.alarms[name[0]].datapoints * try(local.alarms[name[0]].math.period, local.alarms[name[0]].period) + 120 <= 600])
    error_message = "Of every part, periods, datapoints and the metrics' delay must stay within 10 minutes."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["nothing-committed-orders"].treat_missing_data == "breaching" && alltrue([for row in ["records-wait", "mapping-lags"] : aws_cloudwatch_metric_alarm.this["${row}-orders"].treat_missing_data == "ignore"])
    error_message = "A mapping that does nothing publishes nothing: silence must count as nothing committed, and never as a lag that ended."
  }
}

# A plain metric that falls silent breaches only when its last good value is further back than CloudWatch looks: some periods
# after the first gap. A gap that is filled counts at once.
run "silence_is_no_excuse_for_coming_late" {
  command = plan

  variables {
    metrics_backend = "none"
    esm_mode        = "provisioned"
    alarm_limits    = { no_requests_minutes = 60 }
  }

  # Those that may come some periods later, each with its reason in the table.
  assert {
    condition = toset([for key, row in merge(local.broker_rows, local.cluster_rows, local.lag_rows["orders"], local.mapping_rows["orders"], local.function_rows, { for key, row in local.consumer_rows.consumer : try(row.key, "consumer-${key}") => row }, local.other_rows, local.nat_rows) : key if row.if_silent == "breaching" && !alltrue([
      for id in keys(try(row.math.metrics, { plain = "" })) : can(regex("FILL\\(${id}, (0|-1)\\)", row.math.expression))
    ])]) == toset(["broker-gone", "flow-log-silent", "no-active-controller"])
    error_message = "Where silence is the fault, each metric must be filled, or the table must say why it may come later."
  }
  assert {
    condition     = [for query in aws_cloudwatch_metric_alarm.this["nothing-committed-orders"].metric_query : query.expression if query.return_data] == ["FILL(committed, 0)"]
    error_message = "What the table fills must be filled in the alarm."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["no-requests"].datapoints_to_alarm == 60 && local.alarms["no-requests"].math.period == 60
    error_message = "An hour without calls is 60 filled minutes; one period of an hour would be held up by the calls of hours before."
  }
}

run "one_dead_topic_among_several_pages_on_demand_too" {
  command = plan

  variables {
    topics    = { orders = {}, payments = {} }
    consumers = { consumer = { timeout_seconds = 840 } }
  }

  assert {
    condition     = strcontains(aws_cloudwatch_composite_alarm.this["consumer-stalled"].alarm_rule, "OR ALARM(\"msk-ha-cluster-lag-grows-payments\")")
    error_message = "An on-demand mapping has no metrics of its own: there a lag that only grows must page."
  }
  assert {
    condition     = alltrue([for key in ["records-wait-orders", "lag-grows-orders", "nothing-handled"] : aws_cloudwatch_metric_alarm.this[key].datapoints_to_alarm * 60 > 840])
    error_message = "A batch may take as long as the function's timeout: before, nothing is known."
  }
}

run "a_consumer_that_is_switched_off_pages_nobody" {
  command = plan

  variables {
    consumers = { consumer = { enabled = false } }
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_composite_alarm.this), "consumer-stalled")
    error_message = "Whoever disables the mapping knows that records wait."
  }
}

# --- MSK's maintenance ---

run "a_restart_of_brokers_opens_no_ticket" {
  command = plan

  variables {
    metrics_backend = "none"
  }

  assert {
    condition     = [for suppressor in aws_cloudwatch_composite_alarm.this["under-replicated-partitions"].actions_suppressor : "${suppressor.alarm} ${suppressor.extension_period}"] == ["msk-ha-cluster-brokers-restart 1200"]
    error_message = "While brokers restart one by one, and until the last has caught up, missing copies are no news."
  }
  assert {
    condition     = aws_cloudwatch_composite_alarm.brokers_restart[0].alarm_rule == join(" OR ", [for id in ["1", "2", "3"] : "ALARM(\"msk-ha-cluster-broker-silent-broker-${id}\")"]) && try(length(aws_cloudwatch_composite_alarm.brokers_restart[0].alarm_actions), 0) == 0
    error_message = "A broker that restarts is silent, and that alone tells nobody."
  }
  # Well before the copies are missed (15 minutes), well before the broker is (30).
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["broker-silent-broker-1"].evaluation_periods * 60 < 900 && aws_cloudwatch_metric_alarm.this["broker-gone-broker-1"].evaluation_periods * 300 == 1800 && aws_cloudwatch_metric_alarm.this["broker-silent-broker-1"].treat_missing_data == "breaching"
    error_message = "A restart takes 10 to 15 minutes of each broker."
  }
  assert {
    condition     = startswith(aws_cloudwatch_composite_alarm.this["broker-unreachable"].alarm_description, "[ticket]") && strcontains(aws_cloudwatch_composite_alarm.this["broker-unreachable"].alarm_rule, ") AND (OK(\"msk-ha-cluster-broker-silent-broker-1\")")
    error_message = "One broker that stays away loses nothing yet: a ticket, and only while another one reports."
  }
}

# --- Events ---

run "what_no_metric_tells_comes_as_an_event" {
  command = plan

  variables {
    paging_topic_arns = ["arn:aws:sns:us-east-1:123456789012:on-call", "arn:aws:sns:us-east-1:123456789012:second"]
    runbook_url       = "https://example.com/runbooks"
  }

  # Another key than that of everything else.
  override_resource {
    target          = aws_kms_key.alarms
    override_during = plan
    values          = { arn = "arn:aws:kms:us-east-1:123456789012:key/55555555-6666-7777-8888-999999999999" }
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.this["key-in-danger"].event_pattern).detail.errorCode == [{ exists = false }]
    error_message = "A call that KMS refused endangers no key."
  }
  assert {
    condition     = toset([for target in aws_cloudwatch_event_target.this : target.arn if target.rule == "msk-ha-cluster-key-in-danger"]) == toset(concat([aws_sns_topic.alarms.arn], var.paging_topic_arns)) && [for target in aws_cloudwatch_event_target.this : target.arn if target.rule == "msk-ha-cluster-storage-at-maximum"] == [aws_sns_topic.alarms.arn]
    error_message = "Events of severity page reach every paging topic, tickets none."
  }
  assert {
    condition     = length(aws_iam_role.events_elsewhere) == 0
    error_message = "Topics of this account let EventBridge in by themselves: no role."
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.this["key-in-danger"].event_pattern).detail.resources.ARN == [aws_kms_key.this.arn] && toset(jsondecode(aws_cloudwatch_event_rule.this["key-in-danger"].event_pattern).detail.eventName) == toset(["DisableKey", "ScheduleKeyDeletion"])
    error_message = "Without this key the brokers' volumes are lost: who disables it, or has it deleted, must be heard of."
  }
  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.this : strcontains(target.input_transformer[0].input_template, "Runbook: https://example.com/runbooks#")])
    error_message = "Each event must say what to do."
  }
}

run "no_events_of_what_is_not_there" {
  command = plan

  variables {
    storage = { autoscaling = false }
  }

  assert {
    condition     = keys(aws_cloudwatch_event_rule.this) == ["key-in-danger"]
    error_message = "Volumes that do not grow by themselves have no growth to watch."
  }
}

run "refuses_paging_topics_elsewhere" {
  command = plan

  variables {
    paging_topic_arns = ["arn:aws:sns:eu-west-1:123456789012:on-call"]
  }

  expect_failures = [var.paging_topic_arns]
}

run "refuses_paging_topics_that_prometheus_cannot_reach" {
  command = plan

  variables {
    paging_topic_arns = ["arn:aws:sns:us-east-1:999999999999:on-call"]
  }

  expect_failures = [aws_prometheus_alert_manager_definition.this]
}

run "takes_paging_topics_of_other_accounts_without_prometheus" {
  command = plan

  variables {
    paging_topic_arns = ["arn:aws:sns:us-east-1:999999999999:on-call"]
    metrics_backend   = "none"
  }

  assert {
    condition     = contains(aws_cloudwatch_composite_alarm.this["cluster-unhealthy"].alarm_actions, "arn:aws:sns:us-east-1:999999999999:on-call")
    error_message = "CloudWatch reaches topics of other accounts."
  }
  assert {
    condition     = { for target in aws_cloudwatch_event_target.this : target.arn => target.role_arn != null if target.rule == "msk-ha-cluster-key-in-danger" } == { (aws_sns_topic.alarms.arn) = false, "arn:aws:sns:us-east-1:999999999999:on-call" = true }
    error_message = "EventBridge reaches a topic of another account with a role alone."
  }
  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.events_elsewhere[0].policy).Statement : [statement.Action, statement.Resource]] == [[["sns:Publish"], ["arn:aws:sns:us-east-1:999999999999:on-call"]], [["kms:Decrypt", "kms:GenerateDataKey"], ["arn:aws:kms:us-east-1:999999999999:key/*"]]]
    error_message = "The role may publish there, and use keys of that account through SNS."
  }
}

run "topics_too_long_for_a_composite_alarm" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    topics    = { for n in range(10, 34) : join("", concat([n], [for _ in range(198) : "t"])) => { partitions = 1, produced = n == 10 } }
    consumers = { consumer = { consumer_group = "{topic}" } }
  }

  expect_failures = [aws_cloudwatch_composite_alarm.this]
}
