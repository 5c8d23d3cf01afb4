# The producer and the HTTP API in front of it; the consumers are in consumers.tf.

# ----------------------------------------------------------------------------
# Environment of the functions; the parsers in functions/*/src/config.rs refuse what they do not know
# ----------------------------------------------------------------------------

locals {
  metrics_namespace = local.name

  kafka_environment = merge(
    { KAFKA_BOOTSTRAP_SERVERS = local.bootstrap.kafka_iam, KAFKA_AUTH = "iam" },
    length(var.kafka_options) == 0 ? {} : { KAFKA_OPTIONS = jsonencode(var.kafka_options) },
  )
  common_environment = { LOG_LEVEL = var.log_level, METRICS_NAMESPACE = local.metrics_namespace }

  producer_environment = merge(local.producer_settings, { TOPICS = local.has_producer_layer ? "file:/opt/topics.json" : local.producer_policies })
  producer_settings = merge(local.common_environment, local.kafka_environment, {
    DEFAULT_TOPIC       = coalesce(var.default_topic, sort(keys(local.produced_topics))[0])
    MAX_REQUEST_BYTES   = tostring(var.producer.max_request_bytes)
    MAX_RECORDS         = tostring(var.producer.max_records)
    MAX_RECORD_BYTES    = tostring(var.producer.max_record_bytes)
    COMPATIBILITY       = var.producer.compatibility
    DELIVERY_TIMEOUT_MS = tostring(var.producer.delivery_timeout_ms)
  })
}

# ----------------------------------------------------------------------------
# Producer
# ----------------------------------------------------------------------------

locals {
  producer_zip = "${var.function_zip_directory}/producer/bootstrap.zip"

  # The gateway gives up after 30 s; the function must be able to say what happened before that.
  producer_timeout_seconds = 28
}

resource "aws_lambda_function" "producer" {
  function_name = "${local.name}-producer"
  description   = "HTTP request to Kafka records"
  role          = aws_iam_role.producer.arn

  filename         = local.producer_zip
  source_code_hash = fileexists(local.producer_zip) ? filebase64sha256(local.producer_zip) : null
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.function_architecture]
  layers           = aws_lambda_layer_version.producer[*].arn
  publish          = true # a version for the alias

  memory_size                    = var.producer.memory_mb
  timeout                        = local.producer_timeout_seconds
  reserved_concurrent_executions = coalesce(var.producer.reserved_concurrency, local.producer_concurrency_limit)
  kms_key_arn                    = aws_kms_key.this.arn

  environment {
    variables = local.producer_environment
  }

  vpc_config {
    subnet_ids         = local.private_subnet_ids
    security_group_ids = [aws_security_group.this["producer"].id]
  }

  logging_config {
    log_format            = "JSON"
    application_log_level = upper(var.log_level)
    system_log_level      = "INFO"
    log_group             = aws_cloudwatch_log_group.this["producer"].name
  }

  tracing_config {
    mode = "Active"
  }

  lifecycle {
    precondition {
      condition     = fileexists(local.producer_zip)
      error_message = "${local.producer_zip} is missing: run `${local.producer_zip_command}` first, or point function_zip_directory at the zips."
    }

    precondition {
      condition     = length(local.missing_zip_features) == 0
      error_message = "${local.producer_zip} was not built for ${join(" and ", [for feature in local.missing_zip_features : feature == "schemas" ? "policy.schema in topics" : "api.docs_page"])}: run `${local.producer_zip_command}`, or leave that out. (${local.producer_zip_contents} says what the zip can do; copy both.)"
    }

    precondition {
      condition     = length(jsonencode(local.producer_environment)) <= 4000
      error_message = "The producer's environment exceeds Lambda's 4 KB: shorten kafka_options."
    }
  }

  depends_on = [aws_iam_role_policy.producer]
}

# What the API calls. During a canary deployment, canary.weight of the traffic goes to another version.
resource "aws_lambda_alias" "producer" {
  name             = "live"
  description      = "What the API calls"
  function_name    = aws_lambda_function.producer.function_name
  function_version = aws_lambda_function.producer.version

  dynamic "routing_config" {
    for_each = var.producer.canary == null ? [] : [var.producer.canary]

    content {
      additional_version_weights = { (routing_config.value.version) = routing_config.value.weight }
    }
  }
}

resource "aws_lambda_provisioned_concurrency_config" "producer" {
  count = var.producer.provisioned_concurrency > 0 ? 1 : 0

  function_name                     = aws_lambda_function.producer.function_name
  qualifier                         = aws_lambda_alias.producer.name
  provisioned_concurrent_executions = var.producer.provisioned_concurrency
}

# ----------------------------------------------------------------------------
# API
# ----------------------------------------------------------------------------

locals {
  # The producer's router has the same table: a test of the producer compares them (functions/producer/tests/terraform.rs).
  api_routes = toset([
    "POST /topics/{topic}",
    "POST /topics/{topic}/partitions/{partition}",
    "POST /messages",
    "POST /v3/clusters/{cluster}/topics/{topic}/records",
    "POST /v3/clusters/{cluster}/topics/{topic}/records:batch",
    "GET /topics",
    "GET /topics/{topic}",
    "GET /topics/{topic}/partitions",
    "GET /topics/{topic}/partitions/{partition}",
    "GET /healthz",
    "GET /readyz",
    "GET /healthy",
    "GET /ready",
    "GET /_health",
    "GET /openapi.json",
    "GET /openapi",
    "GET /version",
  ])
}

# The page is no part of the API, and only some zips have it.
locals {
  page_routes = toset(var.api.docs_page ? ["GET /docs", "GET /docs/{file}"] : [])
}

resource "aws_apigatewayv2_api" "this" {
  name                         = local.name
  description                  = "Publishes messages to Kafka"
  protocol_type                = "HTTP"
  disable_execute_api_endpoint = var.api.domain != null # callers of a custom domain must not bypass it

  dynamic "cors_configuration" {
    for_each = var.api.cors == null ? [] : [var.api.cors]

    content {
      allow_origins = cors_configuration.value.allow_origins
      allow_headers = cors_configuration.value.allow_headers
      allow_methods = ["GET", "POST"]
      max_age       = cors_configuration.value.max_age
    }
  }
}

resource "aws_apigatewayv2_integration" "producer" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_method     = "POST"
  integration_uri        = aws_lambda_alias.producer.invoke_arn
  payload_format_version = "2.0"
  timeout_milliseconds   = 30000
}

resource "aws_apigatewayv2_authorizer" "jwt" {
  count = var.api.authorization == "JWT" ? 1 : 0

  api_id           = aws_apigatewayv2_api.this.id
  name             = "${local.name}-jwt"
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = var.api.jwt.issuer
    audience = var.api.jwt.audience
  }
}

resource "aws_apigatewayv2_route" "this" {
  for_each = setunion(local.api_routes, local.page_routes)

  api_id               = aws_apigatewayv2_api.this.id
  route_key            = each.key
  target               = "integrations/${aws_apigatewayv2_integration.producer.id}"
  authorization_type   = var.api.authorization
  authorizer_id        = var.api.authorization == "JWT" ? aws_apigatewayv2_authorizer.jwt[0].id : null
  authorization_scopes = var.api.authorization == "JWT" ? var.api.jwt.scopes : null
}

resource "aws_apigatewayv2_stage" "default" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    detailed_metrics_enabled = true
    throttling_rate_limit    = var.api.throttling_rate_limit
    throttling_burst_limit   = var.api.throttling_burst_limit
  }

  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.this["api"].arn
    format = jsonencode({
      request_id             = "$context.requestId"
      time                   = "$context.requestTimeEpoch"
      source_ip              = "$context.identity.sourceIp"
      principal              = "$context.identity.userArn"
      subject                = "$context.authorizer.claims.sub"
      route                  = "$context.routeKey"
      path                   = "$context.path"
      status                 = "$context.status"
      response_bytes         = "$context.responseLength"
      latency_ms             = "$context.responseLatency"
      integration_latency_ms = "$context.integrationLatency"
      integration_error      = "$context.integrationErrorMessage"
      authorizer_error       = "$context.authorizer.error"
    })
  }
}

resource "aws_lambda_permission" "api" {
  statement_id  = "api-gateway"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.producer.function_name
  qualifier     = aws_lambda_alias.producer.name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*/*"
}

resource "aws_apigatewayv2_domain_name" "this" {
  count = var.api.domain == null ? 0 : 1

  domain_name = var.api.domain.name

  domain_name_configuration {
    certificate_arn = var.api.domain.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "this" {
  count = length(aws_apigatewayv2_domain_name.this)

  api_id      = aws_apigatewayv2_api.this.id
  domain_name = aws_apigatewayv2_domain_name.this[0].id
  stage       = aws_apigatewayv2_stage.default.id
}

resource "aws_route53_record" "api" {
  count = try(var.api.domain.hosted_zone_id, null) == null ? 0 : 1

  zone_id = var.api.domain.hosted_zone_id
  name    = var.api.domain.name
  type    = "A"

  alias {
    name                   = aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].target_domain_name
    zone_id                = aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].hosted_zone_id
    evaluate_target_health = false
  }
}
