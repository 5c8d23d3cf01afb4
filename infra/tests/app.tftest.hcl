# Functions, API and event source mapping.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

# ----------------------------------------------------------------------------
# Producer
# ----------------------------------------------------------------------------

run "producer_reserved_concurrency_formula" {
  command = plan

  assert {
    condition     = aws_lambda_function.producer.reserved_concurrent_executions == floor(min(100 * 4 / 2, 3000 * 0.8 / 2) * 0.75)
    error_message = "Three quarters of what MSK's 100 new and 3,000 open connections a broker allow: 150."
  }
  assert {
    condition     = module.consumer["consumer"].function.reserved_concurrent_executions == 6
    error_message = "The consumer has one environment per partition."
  }
  assert {
    condition     = 2 * (aws_lambda_function.producer.reserved_concurrent_executions + module.consumer["consumer"].function.reserved_concurrent_executions) <= 3000
    error_message = "All environments together must fit a broker's connections."
  }
}

run "small_brokers_take_few_connections" {
  command = plan

  variables {
    broker_instance_type = "kafka.t3.small"
  }

  assert {
    condition     = aws_lambda_function.producer.reserved_concurrent_executions == 6 && module.consumer["consumer"].function.reserved_concurrent_executions == 2
    error_message = "t3.small takes 4 new connections a second: 6 and 2 environments."
  }
}

run "consumer_concurrency_stays_in_its_share" {
  command = plan

  variables {
    topics = { orders = { partitions = 300 } }
  }

  assert {
    condition     = module.consumer["consumer"].function.reserved_concurrent_executions == 50
    error_message = "However many partitions, the consumer keeps to a quarter of the connections."
  }
}

run "functions_run_as_specified" {
  command = plan

  assert {
    condition     = alltrue([for function in [aws_lambda_function.producer, module.consumer["consumer"].function] : function.runtime == "provided.al2023" && function.architectures == tolist(["arm64"]) && function.handler == "bootstrap"])
    error_message = "Both functions run on provided.al2023, arm64."
  }
  assert {
    condition     = aws_lambda_function.producer.timeout == 28
    error_message = "The producer must end before the gateway's 30 s, and leave room for its 22 s of delivery."
  }
  assert {
    condition     = alltrue([for function in [aws_lambda_function.producer, module.consumer["consumer"].function] : function.logging_config[0].log_format == "JSON" && function.tracing_config[0].mode == "Active"])
    error_message = "Both functions log JSON and trace."
  }
  assert {
    condition     = aws_lambda_function.producer.logging_config[0].log_group == aws_cloudwatch_log_group.this["producer"].name && module.consumer["consumer"].function.logging_config[0].log_group == module.consumer["consumer"].log_group.name
    error_message = "Both functions write to the log groups that have a retention and the key; Lambda's own have neither."
  }
  assert {
    condition     = alltrue([for function in [aws_lambda_function.producer, module.consumer["consumer"].function] : function.vpc_config[0].subnet_ids == toset([for subnet in aws_subnet.private : subnet.id])])
    error_message = "Both functions run in the private subnets of all three zones."
  }
  assert {
    condition     = aws_lambda_function.producer.vpc_config[0].security_group_ids == toset([aws_security_group.this["producer"].id]) && module.consumer["consumer"].function.vpc_config[0].security_group_ids == toset([module.consumer["consumer"].security_group.id])
    error_message = "Each function has its own security group."
  }
  assert {
    condition     = aws_lambda_function.producer.filename == "./tests/fixtures/lambda/producer/bootstrap.zip" && aws_lambda_function.producer.source_code_hash == filebase64sha256("./tests/fixtures/lambda/producer/bootstrap.zip")
    error_message = "A changed zip must be deployed."
  }
}

run "x86_64_when_asked" {
  command = plan

  variables {
    function_architecture = "x86_64"
  }

  assert {
    condition     = aws_lambda_function.producer.architectures == tolist(["x86_64"]) && module.consumer["consumer"].function.architectures == tolist(["x86_64"])
    error_message = "Both functions follow function_architecture."
  }
}

run "producer_environment" {
  command = plan

  variables {
    topics = {
      orders   = { policy = { key = "required", max_record_bytes = 65536, formats = ["json"] } }
      payments = {}
      internal = { produced = false }
    }
    kafka_options = { "metadata.max.age.ms" = "60000" }
  }

  assert {
    condition = aws_lambda_function.producer.environment[0].variables == tomap({
      KAFKA_BOOTSTRAP_SERVERS = "b-1.msk.kafka.us-east-1.amazonaws.com:9098,b-2.msk.kafka.us-east-1.amazonaws.com:9098,b-3.msk.kafka.us-east-1.amazonaws.com:9098"
      KAFKA_AUTH              = "iam"
      KAFKA_OPTIONS           = "{\"metadata.max.age.ms\":\"60000\"}"
      TOPICS                  = "{\"orders\":{\"formats\":[\"json\"],\"key\":\"required\",\"max_record_bytes\":65536},\"payments\":{}}"
      DEFAULT_TOPIC           = "orders"
      MAX_REQUEST_BYTES       = "4194304"
      MAX_RECORDS             = "500"
      MAX_RECORD_BYTES        = "1000000"
      COMPATIBILITY           = "strict"
      DELIVERY_TIMEOUT_MS     = "22000"
      LOG_LEVEL               = "info"
      METRICS_NAMESPACE       = "msk-ha-cluster"
    })
    error_message = "The producer's environment must be exactly the configuration contract's."
  }
}

run "canary_keeps_a_share_on_another_version" {
  command = plan

  variables {
    producer = { canary = { version = "7", weight = 0.9 } }
  }

  assert {
    condition     = aws_lambda_alias.producer.routing_config[0].additional_version_weights == tomap({ "7" = 0.9 })
    error_message = "The alias must send the weight to the canary's version."
  }
}

run "api_calls_the_alias" {
  command = plan

  assert {
    condition     = aws_apigatewayv2_integration.producer.integration_uri == aws_lambda_alias.producer.invoke_arn && aws_lambda_permission.api.qualifier == "live"
    error_message = "The API must call the alias, or a canary would have no effect."
  }
  assert {
    condition     = aws_lambda_permission.api.source_arn == "${aws_apigatewayv2_api.this.execution_arn}/*/*"
    error_message = "Only this API may invoke the producer."
  }
  assert {
    condition     = aws_apigatewayv2_api.this.protocol_type == "HTTP" && aws_apigatewayv2_integration.producer.payload_format_version == "2.0"
    error_message = "The producer reads events of HTTP APIs, payload format 2.0."
  }
}

# ----------------------------------------------------------------------------
# API
# ----------------------------------------------------------------------------

run "an_authorizer_on_every_route" {
  command = plan

  assert {
    condition     = length(aws_apigatewayv2_route.this) > 0 && alltrue([for route in aws_apigatewayv2_route.this : route.authorization_type == "AWS_IAM"])
    error_message = "Every route must be signed by default, health checks too."
  }
  assert {
    # A test of the producer compares this file with the router.
    condition     = toset(keys(aws_apigatewayv2_route.this)) == toset(jsondecode(file("./tests/data/functions.json")).routes)
    error_message = "A route is missing or too many: the producer's router has others."
  }
}

run "jwt_on_every_route" {
  command = plan

  variables {
    api = { authorization = "JWT", jwt = { issuer = "https://login.example.com", audience = ["publishers"], scopes = ["publish"] } }
  }

  assert {
    condition     = alltrue([for route in aws_apigatewayv2_route.this : route.authorization_type == "JWT" && route.authorizer_id == aws_apigatewayv2_authorizer.jwt[0].id && route.authorization_scopes == toset(["publish"])])
    error_message = "Every route must ask for the token."
  }
  assert {
    condition     = strcontains(output.publish_example, "authorization: Bearer $TOKEN") && !strcontains(output.publish_example, "sigv4")
    error_message = "The example must send the token."
  }
}

run "open_api_only_with_both_keys" {
  command = plan

  variables {
    api                       = { authorization = "NONE" }
    allow_unauthenticated_api = true
  }

  assert {
    condition     = alltrue([for route in aws_apigatewayv2_route.this : route.authorization_type == "NONE"])
    error_message = "With both variables set, the API is open."
  }
}

run "throttling_access_logs_and_detailed_metrics" {
  command = plan

  assert {
    condition     = aws_apigatewayv2_stage.default.name == "$default" && aws_apigatewayv2_stage.default.default_route_settings[0].throttling_rate_limit == 500 && aws_apigatewayv2_stage.default.default_route_settings[0].throttling_burst_limit == 1000
    error_message = "Every route must be throttled."
  }
  assert {
    condition     = aws_apigatewayv2_stage.default.default_route_settings[0].detailed_metrics_enabled
    error_message = "Metrics per route must be on."
  }
  assert {
    condition     = aws_apigatewayv2_stage.default.access_log_settings[0].destination_arn == aws_cloudwatch_log_group.this["api"].arn && can(jsondecode(aws_apigatewayv2_stage.default.access_log_settings[0].format))
    error_message = "Every request must be logged, as JSON."
  }
}

run "cors_is_off" {
  command = plan

  assert {
    condition     = length(aws_apigatewayv2_api.this.cors_configuration) == 0
    error_message = "No web page may call the API unless its site is named."
  }
}

run "cors_for_the_sites_named" {
  command = plan

  variables {
    api = { cors = { allow_origins = ["https://shop.example.com"] } }
  }

  assert {
    condition     = aws_apigatewayv2_api.this.cors_configuration[0].allow_origins == toset(["https://shop.example.com"])
    error_message = "Exactly the sites named may call."
  }
}

run "custom_domain" {
  command = plan

  variables {
    api = { domain = { name = "publish.example.com", certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-1111-2222-3333-444444444444", hosted_zone_id = "Z0123456789" } }
  }

  assert {
    condition     = aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].security_policy == "TLS_1_2" && length(aws_route53_record.api) == 1
    error_message = "The domain must be served with TLS 1.2 and have its record."
  }
  assert {
    condition     = output.api_endpoint == "https://publish.example.com" && aws_apigatewayv2_api.this.disable_execute_api_endpoint
    error_message = "The custom name must be the only way in."
  }
}

run "outputs_that_guides_and_other_stacks_use" {
  command = plan

  assert {
    condition     = output.cluster_arn == aws_msk_cluster.this[0].arn && output.bootstrap_brokers_sasl_iam == "b-1.msk.kafka.us-east-1.amazonaws.com:9098,b-2.msk.kafka.us-east-1.amazonaws.com:9098,b-3.msk.kafka.us-east-1.amazonaws.com:9098" && output.bootstrap_brokers_tls == null && output.bootstrap_brokers_sasl_scram == null
    error_message = "The cluster's outputs must be the cluster's."
  }
  assert {
    condition     = output.api_endpoint == aws_apigatewayv2_api.this.api_endpoint && output.amp_workspace_endpoint == aws_prometheus_workspace.this[0].prometheus_endpoint && output.grafana_url == null && output.bastion_public_ip == null
    error_message = "Endpoints must be those of what was made, and null for what was not."
  }
  assert {
    condition     = output.bastion_instance_id == aws_instance.bastion[0].id && strcontains(output.kafka_ui_command, "--target ${aws_instance.bastion[0].id} --document-name AWS-StartPortForwardingSession") && strcontains(output.kafka_ui_command, "8080")
    error_message = "Kafka-UI is reached by forwarding its port from the bastion."
  }
}

run "publish_example_signs" {
  command = plan

  assert {
    condition     = strcontains(output.publish_example, "--aws-sigv4 'aws:amz:us-east-1:execute-api'") && strcontains(output.publish_example, "/messages'") && strcontains(output.publish_example, " $${AWS_SESSION_TOKEN:+-H \"x-amz-security-token: $AWS_SESSION_TOKEN\"}")
    error_message = "The example must work with temporary credentials."
  }
}

# ----------------------------------------------------------------------------
# Consumer and its mapping
# ----------------------------------------------------------------------------

run "mapping_on_demand" {
  command = plan

  assert {
    condition     = module.consumer["consumer"].mappings["orders"].topics == toset(["orders"]) && module.consumer["consumer"].mappings["orders"].event_source_arn == aws_msk_cluster.this[0].arn && module.consumer["consumer"].mappings["orders"].starting_position == "TRIM_HORIZON"
    error_message = "The mapping reads the topic from its beginning."
  }
  assert {
    condition     = module.consumer["consumer"].mappings["orders"].amazon_managed_kafka_event_source_config[0].consumer_group_id == "msk-ha-cluster-orders"
    error_message = "The consumer group must have a name of our own, or no lag alarm finds it."
  }
  assert {
    condition     = length(module.consumer["consumer"].mappings["orders"].provisioned_poller_config) == 0 && module.consumer["consumer"].mappings["orders"].function_response_types == null && length(module.consumer["consumer"].mappings["orders"].destination_config) == 0 && module.consumer["consumer"].mappings["orders"].bisect_batch_on_function_error == null && length(module.consumer["consumer"].mappings["orders"].metrics_config) == 0
    error_message = "On demand must not ask for what only provisioned pollers do."
  }
}

run "mapping_provisioned" {
  command = plan

  variables {
    esm_mode = "provisioned"
  }

  assert {
    condition     = module.consumer["consumer"].mappings["orders"].provisioned_poller_config[0].minimum_pollers == 1 && module.consumer["consumer"].mappings["orders"].provisioned_poller_config[0].maximum_pollers == 10
    error_message = "Provisioned mode has pollers of its own."
  }
  assert {
    condition     = module.consumer["consumer"].mappings["orders"].maximum_retry_attempts == 5 && module.consumer["consumer"].mappings["orders"].maximum_record_age_in_seconds == 86400
    error_message = "Retries and record age must be finite."
  }
  assert {
    condition     = one(flatten(module.consumer["consumer"].mappings["orders"].destination_config[*].on_failure[*].destination_arn)) == "kafka://orders.dlq"
    error_message = "Given-up records go to the dead-letter topic."
  }
  assert {
    condition     = module.consumer["consumer"].mappings["orders"].metrics_config[0].metrics == toset(["EventCount", "ErrorCount", "KafkaMetrics"])
    error_message = "The mapping's metrics must be on: the alarms use them."
  }
}

run "mapping_and_function_agree_on_demand" {
  command = plan

  assert {
    condition     = (module.consumer["consumer"].function.environment[0].variables.REPORT_BATCH_ITEM_FAILURES == "true") == contains(coalesce(module.consumer["consumer"].mappings["orders"].function_response_types, []), "ReportBatchItemFailures")
    error_message = "A function that reports items to a mapping that ignores them loses records."
  }
  assert {
    condition     = module.consumer["consumer"].function.environment[0].variables.REPORT_BATCH_ITEM_FAILURES == "false" && module.consumer["consumer"].function.environment[0].variables.DEAD_LETTER == "kafka:{topic}.dlq"
    error_message = "On demand whole batches are retried, and bad records go to the function's own dead letter."
  }
}

run "mapping_and_function_agree_provisioned" {
  command = plan

  variables {
    esm_mode = "provisioned"
    topics   = { orders = {}, payments = {} }
  }

  assert {
    condition     = length(module.consumer["consumer"].mappings) == 2 && module.consumer["consumer"].function.environment[0].variables.REPORT_BATCH_ITEM_FAILURES == "true" && alltrue([for mapping in module.consumer["consumer"].mappings : mapping.function_response_types == toset(["ReportBatchItemFailures"])])
    error_message = "Every mapping and the function must both speak partial batch responses."
  }
  assert {
    condition     = length(distinct([for mapping in module.consumer["consumer"].mappings : mapping.amazon_managed_kafka_event_source_config[0].consumer_group_id])) == 2
    error_message = "Each mapping needs a consumer group of its own."
  }
}

run "failures_to_a_queue" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    consumers = { consumer = { failure_destination = "arn:aws:sqs:us-east-1:123456789012:failures" } }
  }

  assert {
    condition     = one(flatten(module.consumer["consumer"].mappings["orders"].destination_config[*].on_failure[*].destination_arn)) == "arn:aws:sqs:us-east-1:123456789012:failures"
    error_message = "The mapping must report to the queue given."
  }
  assert {
    condition     = flatten([for statement in jsondecode(module.consumer["consumer"].policy).Statement : statement.Resource if statement.Sid == "MappingReportsFailures"]) == ["arn:aws:sqs:us-east-1:123456789012:failures"]
    error_message = "The role must allow that one queue."
  }
}

run "consumer_environment" {
  command = plan

  variables {
    consumers = { consumer = { ordering = "key", concurrency = 8 } }
  }

  assert {
    condition = module.consumer["consumer"].function.environment[0].variables == tomap({
      KAFKA_BOOTSTRAP_SERVERS    = "b-1.msk.kafka.us-east-1.amazonaws.com:9098,b-2.msk.kafka.us-east-1.amazonaws.com:9098,b-3.msk.kafka.us-east-1.amazonaws.com:9098"
      KAFKA_AUTH                 = "iam"
      DEAD_LETTER                = "kafka:{topic}.dlq"
      REPORT_BATCH_ITEM_FAILURES = "false"
      ORDERING                   = "key"
      CONCURRENCY                = "8"
      LOG_LEVEL                  = "info"
      METRICS_NAMESPACE          = "msk-ha-cluster"
    })
    error_message = "The consumer's environment must be exactly the configuration contract's."
  }
}

run "consumer_without_dead_letter_never_sees_the_brokers" {
  command = plan

  variables {
    consumers = { consumer = { dead_letter_topic = "" } }
  }

  assert {
    condition     = toset(keys(module.consumer["consumer"].function.environment[0].variables)) == toset(["CONCURRENCY", "REPORT_BATCH_ITEM_FAILURES", "LOG_LEVEL", "METRICS_NAMESPACE", "ORDERING"])
    error_message = "Without a dead letter the consumer needs no Kafka settings."
  }
  assert {
    condition     = !anytrue([for statement in jsondecode(module.consumer["consumer"].policy).Statement : contains(flatten([statement.Action]), "kafka-cluster:WriteData")])
    error_message = "Without a dead letter the consumer may write nothing."
  }
}

run "filters_reach_the_mapping" {
  command = plan

  variables {
    consumers = { consumer = { filters = ["{\"value\":{\"type\":[\"order.created\"]}}"] } }
  }

  assert {
    condition     = [for filter in module.consumer["consumer"].mappings["orders"].filter_criteria[0].filter : filter.pattern] == ["{\"value\":{\"type\":[\"order.created\"]}}"]
    error_message = "The mapping must filter."
  }
}

run "zip_that_was_not_built" {
  command = plan

  variables {
    function_zip_directory = "./tests/fixtures/missing"
  }

  expect_failures = [aws_lambda_function.producer, output.consumers]
}
