# Where alarms go, and what AWS tells as an event instead of a metric.

# A key of its own, so that the topic still delivers when the other key is disabled: that is told here.
resource "aws_kms_key" "alarms" {
  description             = "${local.name}: alarms"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.account_decides,
      {
        # Alarms and Prometheus alerts reach an encrypted topic only if they may use its key.
        Sid       = "AlarmsToTheEncryptedTopic"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "aps.amazonaws.com"] }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
      {
        # EventBridge gives a key policy no condition to match.
        Sid       = "EventsToTheEncryptedTopic"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
      },
    ]
  })
}

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  display_name      = local.name
  kms_master_key_id = aws_kms_key.alarms.arn
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
        # Without a condition: AWS's policies for a rule's topic have none, and do not say that one would match.
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
        Sid       = "Events"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
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

# ----------------------------------------------------------------------------
# Events
# ----------------------------------------------------------------------------

locals {
  # Calls reach EventBridge through CloudTrail: the account needs a trail.
  # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
  event_rows = { for name, row in {
    # CloudTrail also writes down calls that were refused, and those leave the key as it is.
    key-in-danger = {
      when    = true, severity = "page", runbook = "key-in-danger", about = "The key of cluster, logs and functions was disabled, or is to be deleted."
      pattern = { source = ["aws.kms"], "detail-type" = ["AWS API Call via CloudTrail"], detail = { eventSource = ["kms.amazonaws.com"], eventName = ["DisableKey", "ScheduleKeyDeletion"], errorCode = [{ exists = false }], resources = { ARN = [aws_kms_key.this.arn] } } }
    }
    # Application Auto Scaling tells of no other activity: https://docs.aws.amazon.com/autoscaling/application/userguide/monitoring-eventbridge.html
    storage-at-maximum = {
      when    = length(aws_appautoscaling_target.storage) > 0, severity = "ticket", runbook = "data-disk-filling", about = "The brokers' volumes were grown to storage.max_size_gib, and grow no more."
      pattern = { source = ["aws.application-autoscaling"], "detail-type" = ["Application Auto Scaling Scaling Activity State Change"], detail = { serviceNamespace = ["kafka"], resourceId = [local.cluster_arn] } }
    }
    # CloudTrail writes the ARN as it stands in the call's path, with its colons escaped.
    storage-growth-refused = {
      when    = length(aws_appautoscaling_target.storage) > 0, severity = "ticket", runbook = "data-disk-filling", about = "MSK refused to grow the brokers' volumes."
      pattern = { source = ["aws.kafka"], "detail-type" = ["AWS API Call via CloudTrail"], detail = { eventSource = ["kafka.amazonaws.com"], eventName = ["UpdateBrokerStorage"], errorCode = [{ exists = true }], requestParameters = { clusterArn = [local.cluster_arn, urlencode(local.cluster_arn)] } } }
    }
  } : name => row if row.when }

  # EventBridge brings a role to topics of other accounts, and nothing of its own.
  # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-cross-account.html
  paging_topics_elsewhere = [for arn in var.paging_topic_arns : arn if split(":", arn)[4] != local.account_id]

  event_targets = merge([for name, row in local.event_rows : { for index, arn in local.alarm_targets[row.severity] : "${name}-${index}" => { rule = name, arn = arn } }]...)
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = local.event_rows

  name          = "${local.name}-${each.key}"
  description   = "[${each.value.severity}] ${each.value.about} Runbook: ${each.value.runbook}"
  event_pattern = jsonencode(each.value.pattern)
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = local.event_targets

  rule     = aws_cloudwatch_event_rule.this[each.value.rule].name
  arn      = each.value.arn
  role_arn = contains(local.paging_topics_elsewhere, each.value.arn) ? aws_iam_role.events_elsewhere[0].arn : null

  input_transformer {
    input_paths    = { time = "$.time" }
    input_template = "\"[${local.event_rows[each.value.rule].severity}] ${local.name}: ${local.event_rows[each.value.rule].about} Since <time>. Runbook: ${var.runbook_url}#${local.event_rows[each.value.rule].runbook}\""
  }

  depends_on = [aws_iam_role_policy.events_elsewhere]
}

resource "aws_iam_role" "events_elsewhere" {
  count = length(local.paging_topics_elsewhere) > 0 ? 1 : 0

  name                 = "${local.name}-events"
  description          = "EventBridge: events of severity page to topics of other accounts"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "events_elsewhere" {
  count = length(local.paging_topics_elsewhere) > 0 ? 1 : 0

  name = "page"
  role = aws_iam_role.events_elsewhere[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Page"
        Effect   = "Allow"
        Action   = ["sns:Publish"]
        Resource = local.paging_topics_elsewhere
      },
      {
        # Of an encrypted topic; which key that is, its owner knows.
        Sid       = "EncryptThroughSns"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = distinct([for arn in local.paging_topics_elsewhere : "arn:${local.partition}:kms:${var.region}:${split(":", arn)[4]}:key/*"])
        Condition = { StringEquals = { "kms:ViaService" = "sns.${var.region}.${local.dns_suffix}" } }
      },
    ]
  })
}
