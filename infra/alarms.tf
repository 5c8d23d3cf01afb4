# The alarms of alarms_table.tf, alarms_table_app.tf and alarms_lag.tf as resources. alarms_composite.tf has what is made of
# several, and alarms_notifications.tf where they go.

# ----------------------------------------------------------------------------
# The table, spelled out: one entry for each alarm
# ----------------------------------------------------------------------------

locals {
  broker_ids         = [for index in range(local.broker_count) : tostring(index + 1)]
  cluster_dimensions = { "Cluster Name" = local.cluster_name }

  every_alarm_row = merge(
    merge([for key, row in local.broker_rows : {
      for id in slice(local.broker_ids, 0, min(try(row.brokers, local.broker_count), local.broker_count)) : "${key}-broker-${id}" => merge(row, {
        row = key, namespace = "AWS/Kafka", dimensions = merge(local.cluster_dimensions, { "Broker ID" = id }, try(row.dimensions, {})), subject = "broker ${id} of ${local.cluster_name}"
      })
    } if row.when]...),

    { for key, row in local.cluster_rows : key => merge(row, { row = key, namespace = "AWS/Kafka", dimensions = local.cluster_dimensions, subject = local.cluster_name }) if row.when },

    # Never with Broker ID: the lag metrics do not have it.
    merge([for reading, rows in local.lag_rows : {
      for key, row in rows : "${key}-${reading}" => merge(row, {
        row = key, namespace = "AWS/Kafka", dimensions = merge(local.cluster_dimensions, { "Consumer Group" = local.readings[reading].group, Topic = local.readings[reading].topic }), subject = "group ${local.readings[reading].group}, topic ${local.readings[reading].topic}"
      }) if row.when
    }]...),

    merge([for reading, rows in local.mapping_rows : {
      for key, row in rows : "${key}-${reading}" => merge(row, {
        row = key, namespace = "AWS/Lambda", dimensions = { EventSourceMappingUUID = module.consumer[local.readings[reading].consumer].mappings[local.readings[reading].topic].uuid }, subject = "mapping of topic ${reading}"
      }) if row.when
    }]...),

    merge([for name, it in local.functions : {
      for key, row in local.function_rows : "${name}-${key}" => merge(row, {
        row        = key
        namespace  = "AWS/Lambda"
        dimensions = { FunctionName = it.function_name }
        subject    = "function ${name}"
        threshold  = key == "slow" ? 0.8 * it.timeout_s * 1000 : key == "concurrency-near-limit" ? 0.8 * local.producer_reserved_concurrency : row.threshold
      }) if key != "concurrency-near-limit" || (name == "producer" && local.producer_reserved_concurrency > 1)
    }]...),

    merge([for name, rows in local.consumer_rows : {
      for key, row in rows : try(row.key, "${name}-${key}") => merge(row, { row = key, subject = name == "consumer" ? local.name : "${local.name}-${name}" }) if row.when
    }]...),

    { for key, row in local.other_rows : key => merge(row, { row = key, subject = local.name }) if row.when },

    merge([for key, row in local.nat_rows : {
      for zone, gateway in aws_nat_gateway.this : "${key}-${zone}" => merge(row, {
        row = key, namespace = "AWS/NATGateway", dimensions = { NatGatewayId = gateway.id }, subject = "NAT gateway in ${zone}"
      })
    }]...),
  )

  # A page is CloudWatch's, whatever Prometheus sees.
  alarm_rows = { for key, row in local.every_alarm_row : key => row if !local.has_prometheus || !can(row.twin) }

  # With what the resource below asks of each row. Conditions such as can(...) stand here, where they are evaluated once.
  alarms = { for key, row in local.alarm_rows : key => merge({ math = null, anomaly = null, metric = null, stat = null, period = null, datapoints = row.periods }, row, {
    is_plain      = !can(row.math) && !can(row.anomaly)
    is_percentile = can(regex("^p[0-9]", row.stat))
  }) }
  # Terraform evaluates for_each anew for every instance: a table there would make plans slow by the square of its rows.
  alarm_keys = { for key in keys(local.alarms) : key => key }

  comparison_operators = {
    ">"       = "GreaterThanThreshold"
    ">="      = "GreaterThanOrEqualToThreshold"
    "<"       = "LessThanThreshold"
    "<="      = "LessThanOrEqualToThreshold"
    "outside" = "LessThanLowerOrGreaterThanUpperThreshold"
  }

  alarm_targets = {
    signal = []
    ticket = [aws_sns_topic.alarms.arn]
    page   = concat([aws_sns_topic.alarms.arn], var.paging_topic_arns)
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarm_keys

  alarm_name        = "${local.name}-${each.key}"
  alarm_description = "[${local.alarms[each.key].severity}] ${local.alarms[each.key].subject}: ${local.alarms[each.key].about} Runbook: ${var.runbook_url}#${local.alarms[each.key].runbook}"

  comparison_operator = local.comparison_operators[local.alarms[each.key].operator]
  threshold           = local.alarms[each.key].threshold
  threshold_metric_id = local.alarms[each.key].anomaly == null ? null : "band"
  evaluation_periods  = local.alarms[each.key].periods
  datapoints_to_alarm = local.alarms[each.key].datapoints
  treat_missing_data  = local.alarms[each.key].if_silent

  # A plain metric ...
  namespace          = local.alarms[each.key].is_plain ? local.alarms[each.key].namespace : null
  metric_name        = local.alarms[each.key].is_plain ? local.alarms[each.key].metric : null
  dimensions         = local.alarms[each.key].is_plain ? local.alarms[each.key].dimensions : null
  period             = local.alarms[each.key].is_plain ? local.alarms[each.key].period : null
  statistic          = local.alarms[each.key].is_plain && !local.alarms[each.key].is_percentile ? local.alarms[each.key].stat : null
  extended_statistic = local.alarms[each.key].is_percentile ? local.alarms[each.key].stat : null

  # ... or a sum of some ...
  dynamic "metric_query" {
    for_each = local.alarms[each.key].math == null ? {} : local.alarms[each.key].math.metrics

    content {
      id          = metric_query.key
      return_data = false

      metric {
        namespace   = local.alarms[each.key].namespace
        metric_name = metric_query.value
        dimensions  = local.alarms[each.key].dimensions
        period      = local.alarms[each.key].math.period
        stat        = local.alarms[each.key].math.stat
      }
    }
  }

  dynamic "metric_query" {
    for_each = local.alarms[each.key].math == null ? [] : [local.alarms[each.key].math.expression]

    content {
      id          = "result"
      expression  = metric_query.value
      label       = each.key
      return_data = true
    }
  }

  # ... or one that is compared with its own past.
  dynamic "metric_query" {
    for_each = local.alarms[each.key].anomaly == null ? [] : [local.alarms[each.key]]

    content {
      id          = "observed"
      return_data = true

      metric {
        namespace   = local.alarms[each.key].namespace
        metric_name = local.alarms[each.key].metric
        dimensions  = local.alarms[each.key].dimensions
        period      = local.alarms[each.key].period
        stat        = local.alarms[each.key].stat
      }
    }
  }

  dynamic "metric_query" {
    for_each = local.alarms[each.key].anomaly == null ? [] : [local.alarms[each.key].anomaly]

    content {
      id          = "band"
      expression  = "ANOMALY_DETECTION_BAND(observed, ${metric_query.value})"
      label       = "expected"
      return_data = true
    }
  }

  # No ok_actions: a new alarm goes from "no data" to OK, which would be as many mails as there are alarms, all at once.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-actions.html
  # The few composite alarms tell that they end, for on-call tools that close an incident by it.
  actions_enabled = true
  alarm_actions   = contains(local.told_by_a_composite, each.key) ? [] : local.alarm_targets[local.alarms[each.key].severity]

  lifecycle {
    precondition {
      condition     = length("${local.name}-${each.key}") <= 255
      error_message = "The alarm ${local.name}-${each.key} would have ${length("${local.name}-${each.key}")} characters, and CloudWatch takes 255: shorten the topic's name, or var.name."
    }
  }
}
