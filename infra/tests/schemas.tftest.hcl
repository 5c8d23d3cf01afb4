# Schemas of topics and the page of the API: the zip that they need, and the layer that the producer reads.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

mock_provider "archive" {
  override_during = plan

  mock_data "archive_file" {
    defaults = {
      output_path         = "./layer.zip"
      output_base64sha256 = "c2hhMjU2"
    }
  }
}

variables {
  function_zip_directory = "./tests/fixtures/everything"
  schemas_directory      = "../events/schemas"
  topics                 = { orders = { policy = { schema = "orders.v1", key = "required" } }, payments = {} }
}

run "policies_and_schemas_are_in_a_layer" {
  command = plan

  assert {
    condition     = aws_lambda_function.producer.environment[0].variables.TOPICS == "file:/opt/topics.json" && aws_lambda_function.producer.layers == tolist([aws_lambda_layer_version.producer[0].arn])
    error_message = "The producer reads its topics from the layer, which Lambda unpacks into /opt."
  }
  assert {
    condition     = local.producer_layer_files == tomap({ "topics.json" = "{\"orders\":{\"key\":\"required\",\"schema\":\"orders.v1\"},\"payments\":{}}", "schemas/orders.v1.json" = file("../events/schemas/orders.v1.json") })
    error_message = "The layer has the policies and the schemas that they name, where the producer looks for them (/opt/schemas)."
  }
  assert {
    condition     = tomap({ for source in data.archive_file.producer_layer[0].source : source.filename => source.content }) == local.producer_layer_files && aws_lambda_layer_version.producer[0].source_code_hash == data.archive_file.producer_layer[0].output_base64sha256
    error_message = "The layer is made of these files, and replaced when one changes."
  }
}

run "without_schemas_there_is_no_layer" {
  command = plan

  variables {
    function_zip_directory = "./tests/fixtures/lambda"
    topics                 = { orders = {} }
  }

  assert {
    condition     = length(aws_lambda_layer_version.producer) == 0 && length(aws_lambda_function.producer.layers) == 0 && aws_lambda_function.producer.environment[0].variables.TOPICS == "{\"orders\":{}}"
    error_message = "A plain deployment has its topics in the environment."
  }
}

run "policies_too_long_for_the_environment_are_in_a_layer" {
  command = plan

  variables {
    function_zip_directory = "./tests/fixtures/lambda"
    topics                 = { for number in range(80) : "topic-with-a-rather-long-name-${number}" => { consumed = false, dead_letter = false } }
  }

  assert {
    condition     = aws_lambda_function.producer.environment[0].variables.TOPICS == "file:/opt/topics.json" && length(jsondecode(local.producer_layer_files["topics.json"])) == 80 && length(local.producer_layer_files) == 1
    error_message = "Lambda takes 4 KB of environment; the layer takes the policies before that."
  }
}

run "a_plain_zip_is_refused" {
  command = plan

  variables {
    function_zip_directory = "./tests/fixtures/lambda"
  }

  expect_failures = [aws_lambda_function.producer]
}

run "what_is_said_of_another_zip_is_not_believed" {
  command = plan

  variables {
    function_zip_directory = "./tests/fixtures/stale"
  }

  expect_failures = [aws_lambda_function.producer]
}

run "a_zip_with_schemas_alone_has_no_page" {
  command = plan

  variables {
    function_zip_directory = "./tests/fixtures/schemas"
    api                    = { docs_page = true }
  }

  expect_failures = [aws_lambda_function.producer]
}

run "a_schema_that_is_not_there_is_named" {
  command = plan

  variables {
    topics = { orders = { policy = { schema = "orders.v9" } } }
  }

  expect_failures = [aws_lambda_layer_version.producer]
}

run "the_page_is_behind_the_same_authorization" {
  command = plan

  variables {
    api = { docs_page = true }
  }

  assert {
    condition     = alltrue([for route in ["GET /docs", "GET /docs/{file}"] : aws_apigatewayv2_route.this[route].authorization_type == "AWS_IAM"]) && length(aws_apigatewayv2_route.this) == length(local.api_routes) + 2
    error_message = "The page's routes exist and ask who calls."
  }
}
