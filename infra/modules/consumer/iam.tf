# The role of the function, which the event source mapping reads with as well, so it holds both parts' rights.
# https://docs.aws.amazon.com/lambda/latest/dg/with-msk-permissions.html

locals {
  # arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID names its topics and groups as ...:topic/NAME/UUID/TOPIC.
  # https://docs.aws.amazon.com/msk/latest/developerguide/kafka-actions.html
  topic_arn_prefix = "${replace(var.cluster_arn, ":cluster/", ":topic/")}/"
  group_arn_prefix = "${replace(var.cluster_arn, ":cluster/", ":group/")}/"

  dead_letter_topics = sort(distinct([for it in values(var.mappings) : it.dead_letter if it.dead_letter != null]))

  kafka_statements = concat(
    [
      {
        Sid      = "MappingFindsTheBrokers"
        Effect   = "Allow"
        Action   = ["kafka:DescribeCluster", "kafka:DescribeClusterV2", "kafka:GetBootstrapBrokers"]
        Resource = var.cluster_arn
      },
      {
        Sid    = "Connect"
        Effect = "Allow"
        # DescribeClusterDynamicConfiguration is in AWS's own policies for such mappings; it only reads.
        Action   = concat(["kafka-cluster:Connect", "kafka-cluster:DescribeClusterDynamicConfiguration"], length(local.dead_letter_topics) + length(var.settings.publishes) > 0 ? ["kafka-cluster:WriteDataIdempotently"] : [], var.settings.failure_destination == "dead_letter_topic" ? ["kafka-cluster:DescribeCluster"] : [])
        Resource = var.cluster_arn
      },
    ],
    # A statement without a resource is not valid, hence the conditions.
    length(var.mappings) == 0 ? [] : [
      {
        Sid      = "ReadTheConsumedTopics"
        Effect   = "Allow"
        Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:ReadData"] # the second compares its size limit with the dead-letter topic's
        Resource = [for topic in sort(keys(var.mappings)) : "${local.topic_arn_prefix}${topic}"]
      },
      {
        Sid      = "OwnConsumerGroups"
        Effect   = "Allow"
        Action   = ["kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup"]
        Resource = [for group in sort(distinct([for it in values(var.mappings) : it.group])) : "${local.group_arn_prefix}${group}"]
      },
    ],
    [for it in [
      { sid = "WriteTheDeadLetters", topics = local.dead_letter_topics },
      { sid = "PublishToItsTopics", topics = sort(distinct(var.settings.publishes)) },
      ] : {
      Sid      = it.sid
      Effect   = "Allow"
      Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:WriteData"]
      Resource = [for topic in it.topics : "${local.topic_arn_prefix}${topic}"]
    } if length(it.topics) > 0],
    # https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure.html
    [for service, it in {
      sqs = { actions = ["sqs:SendMessage"], resources = [var.settings.failure_destination] }
      sns = { actions = ["sns:Publish"], resources = [var.settings.failure_destination] }
      s3  = { actions = ["s3:ListBucket", "s3:PutObject"], resources = [var.settings.failure_destination, "${var.settings.failure_destination}/*"] }
    } : { Sid = "MappingReportsFailures", Effect = "Allow", Action = it.actions, Resource = it.resources } if service == local.failure_service],
    var.settings.failure_destination_kms_key_arn == null ? [] : [{
      Sid       = "MappingEncryptsFailures"
      Effect    = "Allow"
      Action    = concat(local.failure_service == "s3" ? [] : ["kms:Decrypt"], ["kms:GenerateDataKey"])
      Resource  = var.settings.failure_destination_kms_key_arn
      Condition = { StringEquals = { "kms:ViaService" = "${local.failure_service}.${var.kms_via_suffix}" } }
    }],
  )

  # What the handler may reach besides, as its owner wrote it down.
  handler_statements = [for it in var.settings.policy_statements : merge(
    { Effect = "Allow", Action = it.actions, Resource = it.resources },
    length(it.conditions) == 0 ? {} : { Condition = it.conditions },
  )]
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "Consumer function and its event source mapping: reads the consumed topics, writes their dead letters"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy   = var.trust_policy
}

resource "aws_iam_role_policy" "this" {
  name   = "consumer"
  role   = aws_iam_role.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = concat(var.platform_statements, local.kafka_statements) })
}

resource "aws_iam_role_policy" "handler" {
  count = length(local.handler_statements) == 0 ? 0 : 1

  name   = "handler"
  role   = aws_iam_role.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.handler_statements })
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = toset(var.settings.policy_arns)

  role       = aws_iam_role.this.name
  policy_arn = each.value
}
