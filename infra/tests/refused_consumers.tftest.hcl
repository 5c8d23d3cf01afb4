# Bad input is refused before anything is planned, by the variable that it came in: the map of consumers
# (variables-consumers.tf).

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
  topics                 = { orders = {}, payments = {} }
}

run "old_variable" {
  command = plan

  variables {
    consumer = { memory_mb = 256 }
  }

  expect_failures = [var.consumer]
}

run "name_with_an_underscore" {
  command = plan

  variables {
    consumers = { my_consumer = { zip = "./tests/fixtures/lambda/consumer/bootstrap.zip" } }
  }

  expect_failures = [var.consumers]
}

run "name_too_long_for_a_role" {
  command = plan

  variables {
    consumers = { (join("", [for _ in range(31) : "a"])) = { zip = "./tests/fixtures/lambda/consumer/bootstrap.zip" } }
  }

  expect_failures = [var.consumers]
}

run "name_of_another_part" {
  command = plan

  variables {
    consumers = { producer = {} }
  }

  expect_failures = [var.consumers]
}

run "topic_that_does_not_exist" {
  command = plan

  variables {
    consumers = { consumer = { topics = ["orders", "payments", "ordres"] } }
  }

  expect_failures = [var.consumers]
}

run "topic_that_nobody_reads" {
  command = plan

  variables {
    consumers = { consumer = { topics = ["orders"] } }
  }

  expect_failures = [var.consumers]
}

run "shared_topic_with_one_group" {
  command = plan

  variables {
    consumers = { consumer = {}, second = { zip = "./tests/fixtures/lambda/consumer/bootstrap.zip", topics = ["orders"], dead_letter_topic = "{topic}.{consumer}.dlq" } }
  }

  expect_failures = [var.consumers]
}

run "shared_topic_with_one_dead_letter" {
  command = plan

  variables {
    consumers = { consumer = {}, second = { zip = "./tests/fixtures/lambda/consumer/bootstrap.zip", topics = ["orders"], consumer_group = "{name}-{consumer}-{topic}" } }
  }

  expect_failures = [var.consumers]
}

run "groups_that_meet_by_their_names" {
  command = plan

  variables {
    consumers = { consumer = { topics = ["orders"] }, second = { zip = "./tests/fixtures/lambda/consumer/bootstrap.zip", topics = ["payments"], consumer_group = "{name}-orders" } }
  }

  expect_failures = [var.consumers]
}

run "dead_letters_that_another_consumer_reads" {
  command = plan

  variables {
    consumers = { consumer = { topics = ["orders"], dead_letter_topic = "payments" }, second = { zip = "./tests/fixtures/lambda/consumer/bootstrap.zip", topics = ["payments"] } }
  }

  expect_failures = [var.consumers]
}

run "concurrency_beyond_the_share_together" {
  command = plan

  variables {
    consumers = { consumer = { topics = ["orders"], reserved_concurrency = 30 }, second = { zip = "./tests/fixtures/lambda/consumer/bootstrap.zip", topics = ["payments"], reserved_concurrency = 21 } }
  }

  expect_failures = [var.consumers]
}

run "concurrency_of_zero" {
  command = plan

  variables {
    consumers = { consumer = { reserved_concurrency = 0 } }
  }

  expect_failures = [var.consumers]
}

run "canary_that_takes_everything" {
  command = plan

  variables {
    consumers = { consumer = { canary = { version = "1", weight = 1 } } }
  }

  expect_failures = [var.consumers]
}

run "canary_of_an_alias" {
  command = plan

  variables {
    consumers = { consumer = { canary = { version = "live", weight = 0.1 } } }
  }

  expect_failures = [var.consumers]
}

run "egress_on_port_zero" {
  command = plan

  variables {
    consumers = { consumer = { egress = { https = { port = 0, cidrs = ["0.0.0.0/0"] } } } }
  }

  expect_failures = [var.consumers]
}

run "egress_with_a_label_that_ec2_refuses" {
  command = plan

  variables {
    consumers = { consumer = { egress = { "https é" = { port = 443, cidrs = ["0.0.0.0/0"] } } } }
  }

  expect_failures = [var.consumers]
}

run "egress_to_nowhere" {
  command = plan

  variables {
    consumers = { consumer = { egress = { https = { port = 443 } } } }
  }

  expect_failures = [var.consumers]
}

run "egress_to_ipv6" {
  command = plan

  variables {
    consumers = { consumer = { egress = { https = { port = 443, cidrs = ["::/0"] } } } }
  }

  expect_failures = [var.consumers]
}

run "egress_to_a_range_that_ec2_would_rewrite" {
  command = plan

  variables {
    consumers = { consumer = { egress = { https = { port = 443, cidrs = ["10.1.2.3/16"] } } } }
  }

  expect_failures = [var.consumers]
}

run "egress_to_a_group_by_its_name" {
  command = plan

  variables {
    consumers = { consumer = { egress = { database = { port = 5432, security_group_ids = ["database"] } } } }
  }

  expect_failures = [var.consumers]
}

run "egress_to_a_service_by_its_name" {
  command = plan

  variables {
    consumers = { consumer = { egress = { tables = { port = 443, prefix_list_ids = ["com.amazonaws.us-east-1.dynamodb"] } } } }
  }

  expect_failures = [var.consumers]
}

run "policy_for_a_whole_service" {
  command = plan

  variables {
    consumers = { consumer = { policy_statements = [{ actions = ["dynamodb:*"], resources = ["*"] }] } }
  }

  expect_failures = [var.consumers]
}

run "policy_for_everything" {
  command = plan

  variables {
    consumers = { consumer = { policy_statements = [{ actions = ["*"], resources = ["*"] }] } }
  }

  expect_failures = [var.consumers]
}

run "policy_without_a_resource" {
  command = plan

  variables {
    consumers = { consumer = { policy_statements = [{ actions = ["dynamodb:PutItem"], resources = [] }] } }
  }

  expect_failures = [var.consumers]
}

run "policy_on_other_topics" {
  command = plan

  variables {
    consumers = { consumer = { policy_statements = [{ actions = ["kafka-cluster:ReadData"], resources = ["arn:aws:kafka:us-east-1:123456789012:topic/msk-ha-cluster/x/payments"] }] } }
  }

  expect_failures = [var.consumers]
}

run "publishes_to_a_topic_that_does_not_exist" {
  command = plan

  variables {
    consumers = { consumer = { publishes = ["outcomes"] } }
  }

  expect_failures = [var.consumers]
}

run "publishes_to_its_own_topic" {
  command = plan

  variables {
    consumers = { consumer = { topics = ["orders", "payments"], publishes = ["payments"] } }
  }

  expect_failures = [var.consumers]
}

run "publishes_to_one_of_all_the_topics_that_it_reads" {
  command = plan

  variables {
    consumers = { consumer = { publishes = ["payments"] } }
  }

  expect_failures = [var.consumers]
}

run "publishes_to_the_dead_letters_of_another_consumer" {
  command = plan

  variables {
    topics    = { orders = {}, payments = {}, "payments.dlq" = { produced = false, consumed = false } }
    consumers = { consumer = { topics = ["payments"] }, second = { zip = "./tests/fixtures/lambda/consumer/bootstrap.zip", topics = ["orders"], publishes = ["payments.dlq"] } }
  }

  expect_failures = [var.consumers]
}

run "policy_arn_of_a_role" {
  command = plan

  variables {
    consumers = { consumer = { policy_arns = ["arn:aws:iam::123456789012:role/orders"] } }
  }

  expect_failures = [var.consumers]
}

run "too_many_policies" {
  command = plan

  variables {
    consumers = { consumer = { policy_arns = [for n in range(11) : "arn:aws:iam::123456789012:policy/p${n}"] } }
  }

  expect_failures = [var.consumers]
}

run "environment_of_the_consumer_itself" {
  command = plan

  variables {
    consumers = { consumer = { environment = { ORDERING = "key" } } }
  }

  expect_failures = [var.consumers]
}

run "environment_beyond_lambdas_limit" {
  command = plan

  variables {
    consumers = { consumer = { environment = { APP_TEXT = join("", [for _ in range(1000) : "xxx"]) } } }
  }

  expect_failures = [var.consumers]
}

run "layer_without_a_version" {
  command = plan

  variables {
    consumers = { consumer = { layers = ["arn:aws:lambda:us-east-1:123456789012:layer:extension"] } }
  }

  expect_failures = [var.consumers]
}

run "too_many_layers" {
  command = plan

  variables {
    consumers = { consumer = { layers = [for n in range(6) : "arn:aws:lambda:us-east-1:123456789012:layer:l${n}:1"] } }
  }

  expect_failures = [var.consumers]
}

run "internet_where_nothing_leads_there" {
  command = plan

  variables {
    use_vpc_endpoints = true
    enable_bastion    = false
    consumers         = { consumer = { egress = { https = { port = 443, cidrs = ["0.0.0.0/0"] } } } }
  }

  expect_failures = [var.consumers]
}
