# A first plan: nothing that AWS makes is known, so how many there are of each thing must follow from the settings alone.

# The mock answers during apply alone, and nothing is applied.
mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "archive" {}

variables {
  function_zip_directory = "./tests/fixtures/everything"
}

run "of_the_defaults" {
  command = plan
}

run "of_everything_at_once" {
  command = plan

  variables {
    esm_mode               = "provisioned"
    metrics_backend        = "amp"
    enable_managed_grafana = true
    use_vpc_endpoints      = true
    bastion                = { kafka_ui_image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kafka-ui:v1.5.0" }
    api                    = { docs_page = true }
    schemas_directory      = "../events/schemas"
    topics                 = { orders = { policy = { schema = "orders.v1", key = "required" } }, payments = {} }
    publishers             = { billing = { topics = ["orders", "payments"], trusted = ["arn:aws:iam::210987654321:role/billing"], external_id = "x-1" } }
    consumers = {
      orders = {
        topics              = ["orders"]
        zip                 = "./tests/fixtures/lambda/consumer/bootstrap.zip"
        failure_destination = "arn:aws:sqs:us-east-1:123456789012:failures"
      }
      audit = {
        zip               = "./tests/fixtures/lambda/consumer/bootstrap.zip"
        consumer_group    = "{name}-{consumer}-{topic}"
        dead_letter_topic = "{topic}.{consumer}.dlq"
      }
    }
  }
}

run "on_a_cluster_that_exists" {
  command = plan

  variables {
    existing_cluster = { name = "adopted", security_group_id = "sg-1" }
    existing_network = { vpc_id = "vpc-1", private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"] }
    enable_bastion   = false
  }

  override_data {
    override_during = plan
    target          = data.aws_subnet.existing["subnet-a"]
    values          = { availability_zone = "us-east-1a" }
  }
  override_data {
    override_during = plan
    target          = data.aws_subnet.existing["subnet-b"]
    values          = { availability_zone = "us-east-1b" }
  }
  override_data {
    override_during = plan
    target          = data.aws_subnet.existing["subnet-c"]
    values          = { availability_zone = "us-east-1c" }
  }
}
