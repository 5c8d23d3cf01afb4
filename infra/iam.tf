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
    Statement = [
      {
        Sid      = "Write"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        Resource = "${aws_cloudwatch_log_group.this["flow_log"].arn}:*"
      },
      {
        # AWS's list has it too, and CloudWatch checks it without one group. CreateLogGroup, which is in the list as well,
        # would only make a group without key and retention where ours is missing.
        # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
        Sid      = "Find"
        Effect   = "Allow"
        Action   = ["logs:DescribeLogGroups"]
        Resource = "*"
      },
    ]
  })
}

# ----------------------------------------------------------------------------
# Functions
# ----------------------------------------------------------------------------

locals {
  function_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })

  # What Lambda itself does in a function's name: network interfaces, traces. EC2's Describe calls and X-Ray have no
  # resource level, and Lambda checks the other two against "*" when the function is created:
  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
  function_platform_statements = {
    for name in concat(["producer"], keys(var.consumers)) : name => [
      {
        Sid      = "NetworkInterfacesForLambda"
        Effect   = "Allow"
        Action   = ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"]
        Resource = "*"
      },
      {
        # Lambda may use those; code that runs in the function may not.
        Sid       = "NotForTheFunctionsCode"
        Effect    = "Deny"
        Action    = ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"]
        Resource  = "*"
        Condition = { ArnEquals = { "lambda:SourceFunctionArn" = ["arn:${local.partition}:lambda:${var.region}:${local.account_id}:function:${local.name}-${name}"] } }
      },
      {
        Sid      = "Traces"
        Effect   = "Allow"
        Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
        Resource = "*"
      },
      {
        Sid      = "OwnLogGroup"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "arn:${local.partition}:logs:${var.region}:${local.account_id}:log-group:/aws/lambda/${local.name}-${name}:*"
      },
    ]
  }

  # https://docs.aws.amazon.com/msk/latest/developerguide/iam-access-control-use-cases.html
  producer_kafka_statements = [
    {
      Sid      = "ConnectAndWriteOnce"
      Effect   = "Allow"
      Action   = ["kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"] # the idempotent producer needs both
      Resource = local.cluster_arn
    },
    {
      Sid      = "WriteTheListedTopics"
      Effect   = "Allow"
      Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:WriteData"] # the second names a topic's size limit in refusals
      Resource = [for name in sort(keys(local.produced_topics)) : "${local.topic_arn_prefix}${name}"]
    },
  ]
}

resource "aws_iam_role" "producer" {
  name                 = "${local.name}-producer"
  description          = "Producer function: writes the produced topics"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = local.function_trust
}

resource "aws_iam_role_policy" "producer" {
  name   = "producer"
  role   = aws_iam_role.producer.id
  policy = jsonencode({ Version = "2012-10-17", Statement = concat(local.function_platform_statements.producer, local.producer_kafka_statements) })
}

# ----------------------------------------------------------------------------
# Bastion
# ----------------------------------------------------------------------------

resource "aws_iam_role" "bastion" {
  count = var.enable_bastion ? 1 : 0

  name                 = "${local.name}-bastion"
  description          = "Bastion: Session Manager, and administration of this one cluster"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.${local.dns_suffix}" }
      Action    = "sts:AssumeRole"
    }]
  })
}

# What Session Manager's agent needs. AWS's AmazonSSMManagedInstanceCore also reads every parameter of the account.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
resource "aws_iam_role_policy" "bastion_session_manager" {
  count = var.enable_bastion ? 1 : 0

  name = "session-manager"
  role = aws_iam_role.bastion[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Sessions"
        Effect = "Allow"
        Action = [
          "ssm:UpdateInstanceInformation",
          "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
          "ec2messages:AcknowledgeMessage", "ec2messages:DeleteMessage", "ec2messages:FailMessage", "ec2messages:GetEndpoint", "ec2messages:GetMessages", "ec2messages:SendReply",
        ]
        Resource = "*"
      },
      {
        # The agent looks whether the group is encrypted before it writes.
        Sid      = "FindTheLogOfSessions"
        Effect   = "Allow"
        Action   = ["logs:DescribeLogGroups"]
        Resource = "*"
      },
      {
        Sid      = "LogSessions"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this["sessions"].arn}:*"
      },
      {
        Sid      = "KeepTheKafkaUiPassword"
        Effect   = "Allow"
        Action   = ["ssm:PutParameter"]
        Resource = local.kafka_ui_password_arn
      },
      {
        # https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
        Sid       = "EncryptIt"
        Effect    = "Allow"
        Action    = ["kms:Encrypt"]
        Resource  = aws_kms_key.this.arn
        Condition = { StringEquals = { "kms:EncryptionContext:PARAMETER_ARN" = local.kafka_ui_password_arn } }
      },
    ]
  })
}

resource "aws_iam_role_policy" "bastion_kafka" {
  count = var.enable_bastion ? 1 : 0

  name = "administer-kafka"
  role = aws_iam_role.bastion[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Cluster"
        Effect = "Allow"
        # AlterCluster moves partitions and leaders (docs/UPGRADE.md, docs/RUNBOOKS.md); a throttled move sets broker settings.
        Action = [
          "kafka-cluster:Connect", "kafka-cluster:DescribeCluster", "kafka-cluster:AlterCluster",
          "kafka-cluster:DescribeClusterDynamicConfiguration", "kafka-cluster:AlterClusterDynamicConfiguration",
          "kafka-cluster:WriteDataIdempotently",
        ]
        Resource = local.cluster_arn
      },
      {
        Sid    = "Topics"
        Effect = "Allow"
        Action = [
          "kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic", "kafka-cluster:AlterTopic", "kafka-cluster:DeleteTopic",
          "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:AlterTopicDynamicConfiguration",
          "kafka-cluster:ReadData", "kafka-cluster:WriteData",
        ]
        Resource = "${local.topic_arn_prefix}*"
      },
      {
        Sid      = "Groups"
        Effect   = "Allow"
        Action   = ["kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup", "kafka-cluster:DeleteGroup"]
        Resource = "${local.group_arn_prefix}*"
      },
    ]
  })
}

resource "aws_iam_instance_profile" "bastion" {
  count = var.enable_bastion ? 1 : 0

  name = "${local.name}-bastion"
  role = aws_iam_role.bastion[0].name
}
