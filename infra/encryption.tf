# The key of everything that holds data, and the log groups that it encrypts. The alarms' topic has one of its own
# (alarms_notifications.tf).

resource "aws_kms_key" "this" {
  description             = "${local.name}: cluster, logs, functions"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = jsonencode(local.key_policy)

  lifecycle {
    prevent_destroy = true # without the key, the brokers' volumes are lost
  }
}

resource "aws_kms_alias" "this" {
  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.this.key_id
}

locals {
  # In a key policy "*" as resource means this key.
  account_decides = {
    Sid       = "AccountDecidesThroughIam"
    Effect    = "Allow"
    Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
    Action    = "kms:*"
    Resource  = "*"
  }

  key_policy = {
    Version = "2012-10-17"
    Statement = [
      local.account_decides,
      {
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        Sid       = "LogGroupsOfThisDeployment"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.${local.dns_suffix}" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        # This deployment's groups, whatever service's name stands before its own.
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = [for end in ["", "-*"] : "arn:${local.partition}:logs:${var.region}:${local.account_id}:log-group:/aws/*/${local.name}${end}"] } }
      },
    ]
  }

  # MSK and API Gateway write through CloudWatch's log delivery, which adds each group to one resource policy of the
  # account that holds 5,120 characters, but for groups under /aws/vendedlogs/.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-CWL.html
  log_groups = {
    for name, group in {
      brokers  = { name = "/aws/vendedlogs/msk/${local.name}", when = !local.adopts_cluster }
      producer = { name = "/aws/lambda/${local.name}-producer", when = true }
      api      = { name = "/aws/vendedlogs/apigateway/${local.name}", when = true }
      sessions = { name = "/aws/ssm/${local.name}", when = var.enable_bastion }
      flow_log = { name = "/aws/vpc/${local.name}", when = !local.adopts_network }
    } : name => group.name if group.when
  }
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = local.log_groups

  name              = each.value
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.this.arn

  lifecycle {
    create_before_destroy = true # whoever writes to it moves to the new name first
  }
}
