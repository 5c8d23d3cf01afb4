# Roles, one per actor, each with exactly what it does.

# ----------------------------------------------------------------------------
# Flow logs
# ----------------------------------------------------------------------------

resource "aws_iam_role" "flow_log" {
  count = local.adopts_network ? 0 : 1

  name                 = "${local.name}-flow-log"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "flow_log" {
  count = local.adopts_network ? 0 : 1

  name = "write-flow-logs"
  role = aws_iam_role.flow_log[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
      Resource = "${aws_cloudwatch_log_group.this["flow_log"].arn}:*"
    }]
  })
}
