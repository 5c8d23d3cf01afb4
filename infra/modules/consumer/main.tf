# One consumer: a function, its network and log group, and an event source mapping for each topic that it reads.

locals {
  # "sqs", "sns", "s3", or "" where nothing leaves the cluster.
  failure_service = startswith(var.settings.failure_destination, "arn:") ? split(":", var.settings.failure_destination)[2] : ""
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn

  lifecycle {
    create_before_destroy = true # the function moves to the new name first
  }
}

# ----------------------------------------------------------------------------
# Network: the rules between the consumer and the brokers are in the stack's table of ports (../../locals.tf)
# ----------------------------------------------------------------------------

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-"
  description = "Consumer function"
  vpc_id      = var.network.vpc_id
  tags        = { Name = var.name }

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # Keyed by what each rule opens, so that a rule that goes takes no other one with it.
  egress_rules = merge([for label, it in var.settings.egress : merge(
    { for cidr in it.cidrs : "${label}-${cidr}" => { label = label, port = it.port, cidr = cidr, security_group = null, prefix_list = null } },
    { for group in it.security_group_ids : "${label}-${group}" => { label = label, port = it.port, cidr = null, security_group = group, prefix_list = null } },
    { for list in it.prefix_list_ids : "${label}-${list}" => { label = label, port = it.port, cidr = null, security_group = null, prefix_list = list } },
  )]...)
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each = local.egress_rules

  security_group_id            = aws_security_group.this.id
  cidr_ipv4                    = each.value.cidr
  referenced_security_group_id = each.value.security_group
  prefix_list_id               = each.value.prefix_list
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  description                  = "To ${each.value.label}"
  tags                         = { Name = "${var.name}-to-${each.value.label}" }
}

# ----------------------------------------------------------------------------
# Function
# ----------------------------------------------------------------------------

resource "aws_lambda_function" "this" {
  function_name = var.name
  description   = "Kafka records to the record handler"
  role          = aws_iam_role.this.arn

  filename         = var.settings.zip
  source_code_hash = fileexists(var.settings.zip) ? filebase64sha256(var.settings.zip) : null
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  layers           = var.settings.layers
  publish          = true # a version for the alias

  memory_size                    = var.settings.memory_mb
  timeout                        = var.settings.timeout_seconds
  reserved_concurrent_executions = var.settings.reserved_concurrency
  kms_key_arn                    = var.kms_key_arn

  environment {
    variables = var.environment
  }

  vpc_config {
    subnet_ids         = var.network.subnet_ids
    security_group_ids = [aws_security_group.this.id]
  }

  logging_config {
    log_format            = "JSON"
    application_log_level = upper(var.log_level)
    system_log_level      = "INFO"
    log_group             = aws_cloudwatch_log_group.this.name
  }

  tracing_config {
    mode = "Active"
  }

  depends_on = [aws_iam_role_policy.this]
}

# What the mappings call. During a canary deployment, canary.weight of the batches goes to another version.
resource "aws_lambda_alias" "this" {
  name             = "live"
  description      = "What the event source mappings call"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version

  dynamic "routing_config" {
    for_each = var.settings.canary[*]

    content {
      additional_version_weights = { (routing_config.value.version) = routing_config.value.weight }
    }
  }
}

# ----------------------------------------------------------------------------
# Event source mappings
# ----------------------------------------------------------------------------

# One per topic (a mapping reads exactly one), each with a consumer group of its own name: without a name Lambda makes one
# up, and no lag alarm could find it.
resource "aws_lambda_event_source_mapping" "this" {
  for_each = var.mappings

  function_name     = aws_lambda_alias.this.arn
  event_source_arn  = var.cluster_arn
  topics            = [each.key]
  starting_position = var.settings.starting_position
  enabled           = var.settings.enabled

  batch_size                         = var.settings.batch_size
  maximum_batching_window_in_seconds = var.settings.batch_window_seconds

  function_response_types        = var.partial_batch_responses ? ["ReportBatchItemFailures"] : null
  maximum_retry_attempts         = try(var.settings.provisioned.maximum_retries, null)
  maximum_record_age_in_seconds  = try(var.settings.provisioned.maximum_age_seconds, null)
  bisect_batch_on_function_error = try(var.settings.provisioned.bisect_on_error, null)

  amazon_managed_kafka_event_source_config {
    consumer_group_id = each.value.group
  }

  dynamic "filter_criteria" {
    for_each = length(var.settings.filters) == 0 ? [] : [var.settings.filters]

    content {
      dynamic "filter" {
        for_each = filter_criteria.value

        content {
          pattern = filter.value
        }
      }
    }
  }

  dynamic "provisioned_poller_config" {
    for_each = var.settings.provisioned[*]

    content {
      minimum_pollers = provisioned_poller_config.value.minimum_pollers
      maximum_pollers = provisioned_poller_config.value.maximum_pollers
    }
  }

  dynamic "metrics_config" {
    for_each = var.settings.provisioned[*]

    content {
      metrics = metrics_config.value.metrics
    }
  }

  # https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure-destination.html
  dynamic "destination_config" {
    for_each = var.settings.failure_destination == "none" ? [] : [var.settings.failure_destination]

    content {
      on_failure {
        destination_arn = destination_config.value == "dead_letter_topic" ? "kafka://${each.value.dead_letter}" : destination_config.value
      }
    }
  }

  depends_on = [aws_iam_role_policy.this, aws_iam_role_policy.handler, aws_iam_role_policy_attachment.this]
}
