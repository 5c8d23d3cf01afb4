# The entries of docs/CONSUMER.md, as they stand there.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
  topics                 = { orders = { partitions = 12 }, payment-outcomes = { consumed = false } }
}

run "payments" {
  command = plan

  variables {
    consumers = {
      consumer = {}
      payments = {
        topics            = ["orders"]
        consumer_group    = "{name}-{consumer}-{topic}"
        dead_letter_topic = "{topic}.{consumer}.dlq"
        ordering          = "key"
        environment       = { APP_DEPARTMENT = "payments" }
        egress            = { https = { port = 443, cidrs = ["10.1.0.0/16"] } }
        policy_statements = [{
          actions   = ["dynamodb:PutItem"]
          resources = ["arn:aws:dynamodb:eu-central-1:123456789012:table/payments"]
        }]
      }
    }
  }

  assert {
    condition     = module.consumer["payments"].function.environment[0].variables.APP_DEPARTMENT == "payments" && module.consumer["payments"].function.environment[0].variables.ORDERING == "key" && keys(module.consumer["payments"].mappings) == ["orders"]
    error_message = "The handler has its variable and its order, and reads the topic that it names."
  }
  assert {
    condition     = [for rule in module.consumer["payments"].egress_rules : "${rule.cidr_ipv4}:${rule.from_port}"] == ["10.1.0.0/16:443"] && jsondecode(module.consumer["payments"].handler_policy).Statement[0].Action == ["dynamodb:PutItem"]
    error_message = "The handler reaches what the entry names."
  }
}

run "http_forwarder" {
  command = plan

  variables {
    consumers = {
      consumer = {}
      http-forwarder = {
        consumer_group    = "{name}-{consumer}-{topic}"
        dead_letter_topic = "{topic}.{consumer}.dlq"
        environment       = { APP_URL = "http://intake.internal/orders" }
        egress            = { intake = { port = 80, security_group_ids = ["sg-0123456789abcdef0"] } }
      }
    }
  }

  assert {
    condition     = module.consumer["http-forwarder"].function.environment[0].variables.APP_URL == "http://intake.internal/orders"
    error_message = "The forwarder knows its endpoint."
  }
  assert {
    condition     = [for rule in module.consumer["http-forwarder"].egress_rules : "${rule.referenced_security_group_id}:${rule.from_port}-${rule.to_port}"] == ["sg-0123456789abcdef0:80-80"]
    error_message = "The forwarder reaches its endpoint."
  }
}

run "saga_step" {
  command = plan

  variables {
    consumers = {
      consumer = {}
      saga-step = {
        topics            = ["orders"]
        consumer_group    = "{name}-{consumer}-{topic}"
        dead_letter_topic = "{topic}.{consumer}.dlq"
        environment       = { APP_OUTCOME_TOPIC = "payment-outcomes" }
        publishes         = ["payment-outcomes"]
      }
    }
  }

  assert {
    condition     = module.consumer["saga-step"].function.environment[0].variables.APP_OUTCOME_TOPIC == "payment-outcomes" && contains(keys(module.consumer["saga-step"].function.environment[0].variables), "KAFKA_BOOTSTRAP_SERVERS")
    error_message = "The step knows its topic and the brokers."
  }
  assert {
    condition     = one([for statement in jsondecode(module.consumer["saga-step"].policy).Statement : [for arn in statement.Resource : reverse(split("/", arn))[0]] if statement.Sid == "PublishToItsTopics"]) == ["payment-outcomes"]
    error_message = "The step may write the topic of its outcomes."
  }
}

run "dynamodb_writer" {
  command = plan

  variables {
    consumers = {
      consumer = {}
      dynamodb-writer = {
        consumer_group    = "{name}-{consumer}-{topic}"
        dead_letter_topic = "{topic}.{consumer}.dlq"
        environment       = { APP_TABLE = "orders" }
        egress            = { tables = { port = 443, prefix_list_ids = ["pl-02cd2c6b"] } }
        policy_statements = [{
          actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
          resources = ["arn:aws:dynamodb:us-east-1:123456789012:table/orders"]
        }]
      }
    }
  }

  assert {
    condition     = module.consumer["dynamodb-writer"].function.environment[0].variables.APP_TABLE == "orders" && [for rule in module.consumer["dynamodb-writer"].egress_rules : "${rule.prefix_list_id}:${rule.from_port}-${rule.to_port}"] == ["pl-02cd2c6b:443-443"]
    error_message = "The writer knows its table, and reaches DynamoDB."
  }
  assert {
    condition     = jsondecode(module.consumer["dynamodb-writer"].handler_policy).Statement == [{ Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:PutItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/orders"] }]
    error_message = "The writer may do what it does, on its table."
  }
}
