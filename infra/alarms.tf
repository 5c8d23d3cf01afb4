# The alarms of alarms_table.tf as resources, the composite alarms over them, and the topic that they go to.

# ----------------------------------------------------------------------------
# The table, spelled out: one entry for each alarm
# ----------------------------------------------------------------------------

locals {
  broker_ids         = [for index in range(local.broker_count) : tostring(index + 1)]
  cluster_dimensions = { "Cluster Name" = local.cluster_name }

  alarm_rows = merge(
    merge([for key, row in local.broker_rows : {
      for id in local.broker_ids : "${key}-broker-${id}" => merge(row, {
        namespace = "AWS/Kafka", dimensions = merge(local.cluster_dimensions, { "Broker ID" = id }, try(row.dimensions, {})), subject = "broker ${id} of ${local.cluster_name}"
      })
    } if row.when]...),

    { for key, row in local.cluster_rows : key => merge(row, { namespace = "AWS/Kafka", dimensions = local.cluster_dimensions, subject = local.cluster_name }) if row.when },

    # Never with Broker ID: the lag metrics do not have it.
    merge([for key, row in local.lag_rows : {
      for topic, group in local.consumer_groups : "${key}-${topic}" => merge(row, {
        namespace = "AWS/Kafka", dimensions = merge(local.cluster_dimensions, { "Consumer Group" = group, Topic = topic }), subject = "group ${group}, topic ${topic}"
      })
    } if row.when]...),

    merge([for key, row in local.mapping_rows : {
      for topic, group in local.consumer_groups : "${key}-${topic}" => merge(row, {
        namespace = "AWS/Lambda", dimensions = { EventSourceMappingUUID = aws_lambda_event_source_mapping.consumer[topic].uuid }, subject = "mapping of topic ${topic}"
      })
    } if row.when]...),

    merge([for name, it in local.functions : {
      for key, row in local.function_rows : "${name}-${key}" => merge(row, {
        namespace  = "AWS/Lambda"
        dimensions = { FunctionName = it.function.function_name }
        subject    = "function ${name}"
        threshold  = key == "slow" ? 0.8 * it.timeout_s * 1000 : key == "concurrency-near-limit" ? 0.8 * local.reserved_concurrency[name] : row.threshold
      }) if key != "concurrency-near-limit" || local.reserved_concurrency[name] > 1
    }]...),

    { for key, row in local.other_rows : key => merge(row, { subject = local.name }) if row.when },

    merge([for key, row in local.nat_rows : {
      for zone, gateway in aws_nat_gateway.this : "${key}-${zone}" => merge(row, {
        namespace = "AWS/NATGateway", dimensions = { NatGatewayId = gateway.id }, subject = "NAT gateway in ${zone}"
      })
    }]...),
  )

  # With what the resource below asks of each row. Conditions such as can(...) stand here, where they are evaluated once.
  alarms = { for key, row in local.alarm_rows : key => merge({ math = null, anomaly = null, metric = null, stat = null, period = null }, row, {
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
  datapoints_to_alarm = local.alarms[each.key].periods
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

  actions_enabled = true
  alarm_actions   = local.alarm_targets[local.alarms[each.key].severity]
  ok_actions      = local.alarm_targets[local.alarms[each.key].severity]

  lifecycle {
    precondition {
      condition     = length("${local.name}-${each.key}") <= 255
      error_message = "The alarm ${local.name}-${each.key} would have ${length("${local.name}-${each.key}")} characters, and CloudWatch takes 255: shorten the topic's name, or var.name."
    }
  }
}

# ----------------------------------------------------------------------------
# Composite alarms: what an operator asks first
# ----------------------------------------------------------------------------

locals {
  # Rows of the table, spelled out to the alarms that this cluster has of them.
  composite_rows = {
    cluster_unhealthy = ["no-active-controller", "offline-partitions", "under-min-isr-partitions"]
    messages_at_risk  = ["data-disk-filling", "records-dropped", "destination-unreachable", "consumer-destination-fails", "consumer-poison"]
  }
  # ALARM("") and OR come to 13 characters around each name.
  composite_rule_lengths = { for name, keys in local.composite_parts : name => sum(concat([0], [for key in keys : length("${local.name}-${key}") + 13])) }
  composite_parts = {
    for name, rows in local.composite_rows : name => [
      for key in sort(keys(local.alarms)) : key if anytrue([for row in rows : key == row || startswith(key, "${row}-broker-") || contains([for topic in keys(local.consumed_topics) : "${row}-${topic}"], key)])
    ]
  }
}

resource "aws_cloudwatch_composite_alarm" "cluster_unhealthy" {
  alarm_name        = "${local.name}-cluster-unhealthy"
  alarm_description = "[page] ${local.cluster_name}: the cluster cannot do its work: no controller, partitions without a leader, or partitions that refuse writes. Runbook: ${var.runbook_url}#cluster-unhealthy"
  alarm_rule        = join(" OR ", [for key in local.composite_parts.cluster_unhealthy : "ALARM(\"${aws_cloudwatch_metric_alarm.this[key].alarm_name}\")"])
  actions_enabled   = true
  alarm_actions     = local.alarm_targets["page"]
  ok_actions        = local.alarm_targets["page"]

  lifecycle {
    precondition {
      condition     = length(local.composite_parts.cluster_unhealthy) <= 100
      error_message = "A composite alarm takes 100 alarms at most."
    }
  }
}

resource "aws_cloudwatch_composite_alarm" "messages_at_risk" {
  alarm_name        = "${local.name}-messages-at-risk"
  alarm_description = "[page] ${local.name}: records may be lost or stay unhandled: the cluster is unhealthy, disks are about to fill, batches were dropped, or dead letters cannot be delivered. Runbook: ${var.runbook_url}#messages-at-risk"
  alarm_rule        = join(" OR ", concat(["ALARM(\"${aws_cloudwatch_composite_alarm.cluster_unhealthy.alarm_name}\")"], [for key in local.composite_parts.messages_at_risk : "ALARM(\"${aws_cloudwatch_metric_alarm.this[key].alarm_name}\")"]))
  actions_enabled   = true
  alarm_actions     = local.alarm_targets["page"]
  ok_actions        = local.alarm_targets["page"]

  lifecycle {
    precondition {
      condition     = length(local.composite_parts.messages_at_risk) < 100
      error_message = "A composite alarm takes 100 alarms at most, and each topic consumed in provisioned mode adds two: split the topics over two deployments."
    }
    precondition {
      # The rule also names the other composite alarm.
      condition     = local.composite_rule_lengths.messages_at_risk + length("${local.name}-cluster-unhealthy") + 13 <= 10240
      error_message = "The rule of a composite alarm takes 10,240 characters, and each topic consumed in provisioned mode adds two alarms with its name: shorten the topics' names, or split the topics over two deployments."
    }
  }
}

# ----------------------------------------------------------------------------
# Where alarms go
# ----------------------------------------------------------------------------

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  display_name      = local.name
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "CloudWatchAlarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account_id }
          ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:cloudwatch:${var.region}:${local.account_id}:alarm:${local.name}-*" }
        }
      },
      {
        # https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-alertmanager-receiver-AMPpermission.html
        Sid       = "PrometheusAlerts"
        Effect    = "Allow"
        Principal = { Service = "aps.amazonaws.com" }
        Action    = ["sns:Publish", "sns:GetTopicAttributes"]
        Resource  = aws_sns_topic.alarms.arn
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account_id }
          ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:aps:${var.region}:${local.account_id}:workspace/*" }
        }
      },
      {
        Sid       = "OnlyOverTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

# Each address gets a mail with a link that must be followed once.
resource "aws_sns_topic_subscription" "email" {
  for_each = toset(var.alarm_emails)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}
