# Several consumers: each its own function, role and mappings, and what its handler may reach besides Kafka.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
  topics                 = { orders = { partitions = 12 }, payments = {}, audit = { produced = false } }
  consumers = {
    consumer = { topics = ["orders"] }
    # Shares orders with the first.
    projection = {
      topics            = ["orders", "payments"]
      zip               = "./tests/fixtures/lambda/consumer/bootstrap.zip"
      memory_mb         = 1024
      timeout_seconds   = 600
      ordering          = "key"
      consumer_group    = "{name}-{consumer}-{topic}"
      dead_letter_topic = "{topic}.{consumer}.dlq"
      starting_position = "LATEST"
      batch_size        = 10
      environment       = { APP_TABLE = "orders" }
      layers            = ["arn:aws:lambda:us-east-1:123456789012:layer:extension:3"]
      policy_arns       = ["arn:aws:iam::123456789012:policy/orders-table"]
      policy_statements = [{ actions = ["dynamodb:PutItem"], resources = ["arn:aws:dynamodb:us-east-1:123456789012:table/orders"], conditions = { StringEquals = { "aws:PrincipalAccount" = ["123456789012"] } } }]
      canary            = { version = "3", weight = 0.1 }
      egress = {
        tables   = { port = 443, prefix_list_ids = ["pl-02cd2c6b"] }
        database = { port = 5432, security_group_ids = ["sg-0123456789abcdef0"] }
        partner  = { port = 8443, cidrs = ["198.51.100.0/24", "203.0.113.7/32"] }
      }
    }
    archive = { topics = ["audit"], zip = "./tests/fixtures/lambda/consumer/bootstrap.zip", dead_letter_topic = "", reserved_concurrency = -1, enabled = false }
  }
}

run "each_has_a_function_a_role_a_group_and_a_log" {
  command = plan

  assert {
    condition     = { for name, it in module.consumer : name => it.function.function_name } == { archive = "msk-ha-cluster-archive", consumer = "msk-ha-cluster-consumer", projection = "msk-ha-cluster-projection" }
    error_message = "Each consumer is a function of its own name."
  }
  assert {
    condition     = alltrue([for name, it in module.consumer : it.role.name == "msk-ha-cluster-${name}" && it.log_group.name == "/aws/lambda/msk-ha-cluster-${name}" && it.security_group.name_prefix == "msk-ha-cluster-${name}-" && it.function.logging_config[0].log_group == it.log_group.name && it.function.vpc_config[0].security_group_ids == toset([it.security_group.id])])
    error_message = "Each has a role, a log group and a security group of its own."
  }
  assert {
    condition     = module.consumer["projection"].function.memory_size == 1024 && module.consumer["projection"].function.timeout == 600 && module.consumer["consumer"].function.memory_size == 512 && module.consumer["projection"].function.layers == tolist(["arn:aws:lambda:us-east-1:123456789012:layer:extension:3"])
    error_message = "Settings are each consumer's own."
  }
}

run "mappings_call_the_alias" {
  command = plan

  assert {
    condition     = alltrue([for it in module.consumer : it.function.publish && it.alias.name == "live" && it.alias.function_version == it.function.version])
    error_message = "Each consumer publishes a version for its alias live."
  }
  assert {
    condition     = alltrue(flatten([for it in module.consumer : [for mapping in it.mappings : mapping.function_name == it.alias.arn && mapping.function_name != it.function.arn]]))
    error_message = "A mapping calls the alias: a bad handler can be taken back at once."
  }
  assert {
    condition     = try(module.consumer["projection"].alias.routing_config[0].additional_version_weights == tomap({ "3" = 0.1 }), false) && length(module.consumer["consumer"].alias.routing_config) == 0
    error_message = "A canary is each consumer's own."
  }
}

run "topics_groups_and_dead_letters" {
  command = plan

  assert {
    condition     = { for name, it in module.consumer : name => { for topic, mapping in it.mappings : topic => one(mapping.amazon_managed_kafka_event_source_config).consumer_group_id } } == { archive = { audit = "msk-ha-cluster-audit" }, consumer = { orders = "msk-ha-cluster-orders" }, projection = { orders = "msk-ha-cluster-projection-orders", payments = "msk-ha-cluster-projection-payments" } }
    error_message = "A topic that two consumers read has two groups."
  }
  assert {
    condition     = module.consumer["projection"].mappings["orders"].starting_position == "LATEST" && module.consumer["projection"].mappings["orders"].batch_size == 10 && module.consumer["consumer"].mappings["orders"].batch_size == 100 && !module.consumer["archive"].mappings["audit"].enabled
    error_message = "The mapping's settings are each consumer's own."
  }
  assert {
    condition     = toset([for name in keys(aws_msk_topic.this) : name if endswith(name, ".dlq")]) == toset(["audit.dlq", "orders.dlq", "orders.projection.dlq", "payments.projection.dlq"])
    error_message = "Each consumer's dead letters have a topic; that of audit is kept though nobody writes it."
  }
  assert {
    condition     = output.consumers.projection.dead_letter_topics == { orders = "orders.projection.dlq", payments = "payments.projection.dlq" } && output.consumers.projection.consumer_groups.orders == "msk-ha-cluster-projection-orders" && output.consumers.archive.dead_letter_topics == {}
    error_message = "The outputs say what each consumer has."
  }
}

run "environments" {
  command = plan

  assert {
    condition     = module.consumer["projection"].function.environment[0].variables.DEAD_LETTER == "kafka:{topic}.projection.dlq" && module.consumer["projection"].function.environment[0].variables.ORDERING == "key" && module.consumer["projection"].function.environment[0].variables.APP_TABLE == "orders"
    error_message = "The function knows its own dead letter, and the handler its own variables."
  }
  assert {
    condition     = !contains(keys(module.consumer["consumer"].function.environment[0].variables), "APP_TABLE") && !contains(keys(module.consumer["archive"].function.environment[0].variables), "KAFKA_BOOTSTRAP_SERVERS")
    error_message = "No consumer sees another's variables, and one without a dead letter no brokers."
  }
  assert {
    condition     = { for name, it in module.consumer : name => it.function.environment[0].variables.METRICS_NAMESPACE } == { archive = "msk-ha-cluster/archive", consumer = "msk-ha-cluster", projection = "msk-ha-cluster/projection" }
    error_message = "Each counts in a namespace of its own, or no alarm could tell whose records failed."
  }
}

run "each_reaches_the_brokers_and_what_it_names" {
  command = plan

  assert {
    condition     = length([for key in keys(aws_vpc_security_group_ingress_rule.this) : key if contains(["archive-to-brokers-kafka_iam", "consumer-to-brokers-kafka_iam", "projection-to-brokers-kafka_iam"], key)]) == 3 && length([for key in keys(aws_vpc_security_group_egress_rule.this) : key if contains(["archive-to-brokers-kafka_iam", "consumer-to-brokers-kafka_iam", "projection-to-brokers-kafka_iam"], key)]) == 3
    error_message = "Each consumer reaches the brokers."
  }
  assert {
    condition = toset([for rule in module.consumer["projection"].egress_rules : "${coalesce(rule.cidr_ipv4, rule.prefix_list_id, rule.referenced_security_group_id)}:${rule.from_port}-${rule.to_port}/${rule.ip_protocol}"]) == toset([
      "pl-02cd2c6b:443-443/tcp", "sg-0123456789abcdef0:5432-5432/tcp", "198.51.100.0/24:8443-8443/tcp", "203.0.113.7/32:8443-8443/tcp",
    ])
    error_message = "Exactly what egress names may leave."
  }
  assert {
    condition     = length(module.consumer["consumer"].egress_rules) == 0 && length(module.consumer["archive"].egress_rules) == 0 && alltrue([for rule in module.consumer["projection"].egress_rules : rule.security_group_id == module.consumer["projection"].security_group.id])
    error_message = "One consumer's egress is not another's."
  }
}

run "roles_hold_what_each_names" {
  command = plan

  assert {
    condition     = try(jsondecode(module.consumer["projection"].handler_policy).Statement == [{ Effect = "Allow", Action = ["dynamodb:PutItem"], Resource = ["arn:aws:dynamodb:us-east-1:123456789012:table/orders"], Condition = { StringEquals = { "aws:PrincipalAccount" = ["123456789012"] } } }], false)
    error_message = "policy_statements reach the role as they are written."
  }
  assert {
    condition     = module.consumer["projection"].policy_arns == ["arn:aws:iam::123456789012:policy/orders-table"] && module.consumer["consumer"].handler_policy == null && module.consumer["consumer"].policy_arns == []
    error_message = "One consumer's rights are not another's."
  }
  assert {
    condition = { for name, it in module.consumer : name => [for statement in jsondecode(it.policy).Statement : [for arn in statement.Resource : reverse(split("/", arn))[0]] if contains(["ReadTheConsumedTopics", "OwnConsumerGroups", "WriteTheDeadLetters"], statement.Sid)] } == {
      archive    = [["audit"], ["msk-ha-cluster-audit"]]
      consumer   = [["orders"], ["msk-ha-cluster-orders"], ["orders.dlq"]]
      projection = [["orders", "payments"], ["msk-ha-cluster-projection-orders", "msk-ha-cluster-projection-payments"], ["orders.projection.dlq", "payments.projection.dlq"]]
    }
    error_message = "A consumer reads its own topics with its own groups, and writes its own dead letters."
  }
  assert {
    condition     = alltrue([for name, it in module.consumer : strcontains(it.policy, ":function:msk-ha-cluster-${name}\"") && strcontains(it.policy, "log-group:/aws/lambda/msk-ha-cluster-${name}:*")])
    error_message = "Each writes its own log group, and its code has none of Lambda's own rights."
  }
}

run "a_consumer_that_publishes" {
  command = plan

  variables {
    consumers = {
      consumer = { topics = ["payments", "audit"] }
      saga = {
        topics    = ["orders"]
        zip       = "./tests/fixtures/lambda/consumer/bootstrap.zip"
        publishes = ["payments", "audit"]
      }
      quiet = {
        topics            = ["orders"]
        zip               = "./tests/fixtures/lambda/consumer/bootstrap.zip"
        consumer_group    = "{name}-{consumer}-{topic}"
        dead_letter_topic = ""
        publishes         = ["audit"]
      }
    }
  }

  assert {
    condition = { for name, it in module.consumer : name => [for statement in jsondecode(it.policy).Statement : { actions = statement.Action, topics = [for arn in statement.Resource : reverse(split("/", arn))[0]] } if statement.Sid == "PublishToItsTopics"] } == {
      consumer = []
      quiet    = [{ actions = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:WriteData"], topics = ["audit"] }]
      saga     = [{ actions = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:WriteData"], topics = ["audit", "payments"] }]
    }
    error_message = "A consumer writes the topics that it publishes to, and no other consumer does."
  }
  assert {
    condition     = alltrue([for name, it in module.consumer : anytrue([for statement in jsondecode(it.policy).Statement : contains(flatten([statement.Action]), "kafka-cluster:WriteDataIdempotently")])])
    error_message = "Whoever writes to Kafka writes idempotently, also without dead letters."
  }
  assert {
    condition     = contains(keys(module.consumer["quiet"].function.environment[0].variables), "KAFKA_BOOTSTRAP_SERVERS") && !contains(keys(module.consumer["quiet"].function.environment[0].variables), "DEAD_LETTER")
    error_message = "A consumer that publishes knows the brokers, also without dead letters."
  }
}

run "connections_are_shared" {
  command = plan

  assert {
    # 50 for all: projection could use 18 (12 + 6 partitions), and the two that leave it open have 25 each.
    condition     = { for name, it in module.consumer : name => it.function.reserved_concurrent_executions } == { archive = -1, consumer = 12, projection = 18 }
    error_message = "Each has one environment per partition, within its share."
  }
}

run "shares_of_few_connections" {
  command = plan

  variables {
    broker_instance_type = "kafka.t3.small"
  }

  assert {
    condition     = { for name, it in module.consumer : name => it.function.reserved_concurrent_executions } == { archive = -1, consumer = 1, projection = 1 }
    error_message = "Two environments for all consumers, on brokers that take few connections."
  }
}

run "alarms_follow_the_map" {
  command = plan

  assert {
    condition     = alltrue([for key in ["consumer-errors", "projection-errors", "archive-throttles", "projection-slow", "consumer-dead-letters", "projection-dead-letters", "archive-poison", "nothing-handled", "projection-nothing-handled", "consumer-lag-time-orders", "consumer-lag-time-projection/orders", "records-wait-projection/payments"] : contains(keys(local.every_alarm_row), key)])
    error_message = "Each consumer and each of its topics has the alarms of the table."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["projection-dead-letters"].namespace == "msk-ha-cluster/projection" && aws_cloudwatch_metric_alarm.this["consumer-dead-letters"].namespace == "msk-ha-cluster" && aws_cloudwatch_metric_alarm.this["projection-errors"].dimensions["FunctionName"] == "msk-ha-cluster-projection" && aws_cloudwatch_metric_alarm.this["projection-slow"].threshold == 480000
    error_message = "An alarm looks at its own consumer."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["records-wait-projection/orders"].dimensions == tomap({ "Cluster Name" = "msk-ha-cluster", "Consumer Group" = "msk-ha-cluster-projection-orders", Topic = "orders" }) && aws_cloudwatch_metric_alarm.this["records-wait-projection/orders"].evaluation_periods == 12 && aws_cloudwatch_metric_alarm.this["records-wait-orders"].evaluation_periods == 7
    error_message = "Lag is that of the consumer's own group, and a long timeout makes its own page later only."
  }
  assert {
    condition     = strcontains(local.composites.consumer-stalled.rule, "(ALARM(\"msk-ha-cluster-records-wait-orders\") AND ALARM(\"msk-ha-cluster-nothing-handled\"))") && strcontains(local.composites.consumer-stalled.rule, "(ALARM(\"msk-ha-cluster-records-wait-projection/orders\") AND ALARM(\"msk-ha-cluster-projection-nothing-handled\"))") && strcontains(local.composites.consumer-stalled.rule, "ALARM(\"msk-ha-cluster-lag-grows-projection/payments\")") && !strcontains(local.composites.consumer-stalled.rule, "audit")
    error_message = "A dead consumer pages though another one works, and one that is switched off pages nobody."
  }
  assert {
    condition     = strcontains(local.composites.consumer-stalled.rule, "(ALARM(\"msk-ha-cluster-records-published\") AND ALARM(\"msk-ha-cluster-projection-nothing-handled\"))") && !strcontains(local.composites.consumer-stalled.rule, "records-published\") AND ALARM(\"msk-ha-cluster-nothing-handled\")")
    error_message = "What is published waits for the consumer of all produced topics, and for no other."
  }
  assert {
    condition     = strcontains(local.composites.messages-at-risk.rule, "ALARM(\"msk-ha-cluster-archive-poison\")")
    error_message = "Records at risk in any consumer are told."
  }
}

run "alarms_follow_the_map_provisioned" {
  command = plan

  variables {
    esm_mode = "provisioned"
    consumers = {
      consumer   = { topics = ["orders", "audit"], failure_destination = "arn:aws:sqs:us-east-1:123456789012:failures" }
      projection = { topics = ["orders", "payments"], zip = "./tests/fixtures/lambda/consumer/bootstrap.zip", consumer_group = "{name}-{consumer}-{topic}", dead_letter_topic = "{consumer}.dlq", event_source_metrics = ["ErrorCount"] }
    }
  }

  assert {
    condition     = contains(keys(local.alarms), "records-dropped-orders") && !contains(keys(local.alarms), "records-dropped-projection/orders") && contains(keys(local.alarms), "mapping-cannot-poll-projection/orders") && contains(keys(local.alarms), "destination-unreachable-projection/payments")
    error_message = "Each mapping has the alarms of the metrics that it publishes."
  }
  assert {
    condition     = one(flatten(module.consumer["consumer"].mappings["orders"].destination_config[*].on_failure[*].destination_arn)) == "arn:aws:sqs:us-east-1:123456789012:failures" && one(flatten(module.consumer["projection"].mappings["orders"].destination_config[*].on_failure[*].destination_arn)) == "kafka://projection.dlq"
    error_message = "Each consumer's failures go where it says."
  }
  assert {
    condition     = contains(keys(aws_vpc_endpoint.interface), "sqs") && contains(keys(local.alarms), "failure-queue-not-empty") && !contains(keys(local.alarms), "projection-failure-queue-not-empty")
    error_message = "One consumer's queue gets its endpoint and its alarm."
  }
  assert {
    # Of projection only, Lambda writes documents there: twice the record and 64 KiB.
    condition     = jsondecode(aws_msk_topic.this["projection.dlq"].configs)["max.message.bytes"] == "2162712" && jsondecode(aws_msk_topic.this["orders.dlq"].configs)["max.message.bytes"] == "1064972"
    error_message = "A dead-letter topic takes what its own writers bring."
  }
}

run "dashboard_shows_each" {
  command = plan

  assert {
    condition     = alltrue([for label in ["consumer: handled", "projection: handled", "archive: errors", "projection: p99"] : strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "\"${label}\"")]) && strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "[\"msk-ha-cluster/projection\",\"RecordsDone\"") && strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "msk-ha-cluster-projection-orders")
    error_message = "The dashboard shows every consumer by its name."
  }
}

# As `cargo xtask new-consumer payments` prints it.
run "a_new_consumer_beside_the_first" {
  command = plan

  variables {
    consumers = {
      consumer = {}
      payments = {
        consumer_group    = "{name}-{consumer}-{topic}"
        dead_letter_topic = "{topic}.{consumer}.dlq"
      }
    }
  }

  assert {
    condition     = { for name, it in module.consumer : name => sort(keys(it.mappings)) } == { consumer = tolist(["audit", "orders", "payments"]), payments = tolist(["audit", "orders", "payments"]) }
    error_message = "Each reads every topic."
  }
  assert {
    condition     = length(setintersection(values(output.consumers.consumer.consumer_groups), values(output.consumers.payments.consumer_groups))) == 0 && length(setintersection(values(output.consumers.consumer.dead_letter_topics), values(output.consumers.payments.dead_letter_topics))) == 0
    error_message = "Consumers that share topics need groups and dead-letter topics of their own."
  }
}

run "no_consumer_at_all" {
  command = plan

  variables {
    topics    = { orders = { consumed = false } }
    consumers = {}
  }

  assert {
    condition     = length(module.consumer) == 0 && output.consumer_function_name == null && !contains(keys(local.composites), "consumer-stalled")
    error_message = "A deployment that only publishes has no consumer, and no alarm about one."
  }
}

run "zip_that_is_not_there" {
  command = plan

  variables {
    consumers = { consumer = { zip = "./tests/fixtures/missing.zip" } }
  }

  expect_failures = [output.consumers]
}

run "environment_beyond_lambdas_limit_together" {
  command = plan

  variables {
    kafka_options = { "client.id" = join("", [for _ in range(1000) : "xx"]) }
    consumers     = { consumer = { environment = { APP_TEXT = join("", [for _ in range(1000) : "xx"]) } } }
  }

  expect_failures = [output.consumers]
}
