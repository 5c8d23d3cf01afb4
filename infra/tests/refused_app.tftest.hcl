# Bad input is refused before anything is planned, by the variable that it came in: the functions, the mapping, the API
# and the bastion (variables-app.tf).

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

run "open_cidr" {
  command = plan

  variables {
    bastion_public = true
    allowed_cidrs  = ["0.0.0.0/0"]
  }

  expect_failures = [var.allowed_cidrs]
}

run "half_the_internet" {
  command = plan

  variables {
    bastion_public = true
    allowed_cidrs  = ["0.0.0.0/1", "128.0.0.0/1"]
  }

  expect_failures = [var.allowed_cidrs]
}

run "public_bastion_for_nobody_in_particular" {
  command = plan

  variables {
    bastion_public = true
  }

  expect_failures = [var.bastion_public]
}

run "key_pair_on_a_private_bastion" {
  command = plan

  variables {
    bastion = { key_name = "me" }
  }

  expect_failures = [var.bastion]
}

run "image_digest_that_is_none" {
  command = plan

  variables {
    bastion = { kafka_ui_image_digest = "latest" }
  }

  expect_failures = [var.bastion]
}

run "public_image_without_internet" {
  command = plan

  variables {
    use_vpc_endpoints = true
  }

  expect_failures = [var.bastion]
}

run "image_of_another_region_without_internet" {
  command = plan

  variables {
    use_vpc_endpoints = true
    bastion           = { kafka_ui_image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/kafka-ui:v1.5.0" }
  }

  expect_failures = [var.bastion]
}

run "public_prometheus_image_without_internet" {
  command = plan

  variables {
    use_vpc_endpoints = true
    metrics_backend   = "bastion"
    bastion           = { kafka_ui_image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/kafka-ui:v1.5.0" }
  }

  expect_failures = [var.bastion_prometheus_image]
}

run "unauthenticated_api_without_the_flag" {
  command = plan

  variables {
    api = { authorization = "NONE" }
  }

  expect_failures = [var.api]
}

run "jwt_without_its_issuer" {
  command = plan

  variables {
    api = { authorization = "JWT" }
  }

  expect_failures = [var.api]
}

run "no_throttling" {
  command = plan

  variables {
    api = { throttling_rate_limit = 0 }
  }

  expect_failures = [var.api]
}

run "cors_for_nobody" {
  command = plan

  variables {
    api = { cors = { allow_origins = [] } }
  }

  expect_failures = [var.api]
}

run "retries_on_demand" {
  command = plan

  variables {
    consumers = { consumer = { maximum_retries = 3 } }
  }

  expect_failures = [var.consumers]
}

run "pollers_on_demand" {
  command = plan

  variables {
    consumers = { consumer = { minimum_pollers = 1 } }
  }

  expect_failures = [var.consumers]
}

run "bisect_on_demand" {
  command = plan

  variables {
    consumers = { consumer = { bisect_on_error = true } }
  }

  expect_failures = [var.consumers]
}

run "failure_destination_on_demand" {
  command = plan

  variables {
    consumers = { consumer = { failure_destination = "dead_letter_topic" } }
  }

  expect_failures = [var.consumers]
}

run "esm_metrics_on_demand" {
  command = plan

  variables {
    consumers = { consumer = { event_source_metrics = ["EventCount"] } }
  }

  expect_failures = [var.consumers]
}

run "dead_letters_back_to_their_source" {
  command = plan

  variables {
    consumers = { consumer = { dead_letter_topic = "{topic}" } }
  }

  expect_failures = [var.consumers]
}

run "dead_letters_into_another_consumed_topic" {
  command = plan

  variables {
    topics    = { orders = {}, failed = {} }
    consumers = { consumer = { dead_letter_topic = "failed" } }
  }

  expect_failures = [var.consumers]
}

run "record_age_out_of_range" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    consumers = { consumer = { maximum_age_seconds = 30 } }
  }

  expect_failures = [var.consumers]
}

run "retries_for_ever" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    consumers = { consumer = { maximum_retries = -1 } }
  }

  expect_failures = [var.consumers]
}

run "more_pollers_at_least_than_at_most" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    consumers = { consumer = { minimum_pollers = 5, maximum_pollers = 2 } }
  }

  expect_failures = [var.consumers]
}

run "consumer_timeout_beyond_kafkas" {
  command = plan

  variables {
    consumers = { consumer = { timeout_seconds = 900 } }
  }

  expect_failures = [var.consumers]
}

run "batch_size_out_of_range" {
  command = plan

  variables {
    consumers = { consumer = { batch_size = 10001 } }
  }

  expect_failures = [var.consumers]
}

run "one_group_for_two_mappings" {
  command = plan

  variables {
    topics    = { orders = {}, payments = {} }
    consumers = { consumer = { consumer_group = "shared" } }
  }

  expect_failures = [var.consumers]
}

run "group_name_too_long_for_lambda" {
  command = plan

  variables {
    topics = { (join("", [for _ in range(186) : "t"])) = {} }
  }

  expect_failures = [var.consumers]
}

run "dead_letter_topic_too_long_for_kafka" {
  command = plan

  variables {
    topics = { orders = {}, (join("", [for _ in range(246) : "t"])) = { consumed = false } }
  }

  expect_failures = [var.consumers]
}

run "group_name_that_hides_the_lag" {
  command = plan

  variables {
    consumers = { consumer = { consumer_group = "team:{topic}" } }
  }

  expect_failures = [var.consumers]
}

run "esm_mode_unknown" {
  command = plan

  variables {
    esm_mode = "auto"
  }

  expect_failures = [var.esm_mode]
}

run "producer_concurrency_beyond_the_brokers" {
  command = plan

  variables {
    producer = { reserved_concurrency = 151 }
  }

  expect_failures = [var.producer]
}

run "producer_concurrency_beyond_small_brokers" {
  command = plan

  variables {
    broker_instance_type = "kafka.t3.small"
    producer             = { reserved_concurrency = 7 }
  }

  expect_failures = [var.producer]
}

run "consumer_concurrency_beyond_its_share" {
  command = plan

  variables {
    consumers = { consumer = { reserved_concurrency = 51 } }
  }

  expect_failures = [var.consumers]
}

run "delivery_timeout_beyond_the_gateway" {
  command = plan

  variables {
    producer = { delivery_timeout_ms = 29000 }
  }

  expect_failures = [var.producer]
}

run "request_size_beyond_lambda" {
  command = plan

  variables {
    producer = { max_request_bytes = 6000000 }
  }

  expect_failures = [var.producer]
}

run "request_size_too_small" {
  command = plan

  variables {
    producer = { max_request_bytes = 100 }
  }

  expect_failures = [var.producer]
}

run "records_of_a_request_out_of_range" {
  command = plan

  variables {
    producer = { max_records = 20000 }
  }

  expect_failures = [var.producer]
}

run "record_size_out_of_range" {
  command = plan

  variables {
    producer = { max_record_bytes = 7000000 }
  }

  expect_failures = [var.producer]
}

run "more_kept_warm_than_may_run" {
  command = plan

  variables {
    producer = { provisioned_concurrency = 151 }
  }

  expect_failures = [var.producer]
}

run "lanes_out_of_range" {
  command = plan

  variables {
    consumers = { consumer = { concurrency = 1001 } }
  }

  expect_failures = [var.consumers]
}

run "lanes_in_halves" {
  command = plan

  variables {
    consumers = { consumer = { concurrency = 1.5 } }
  }

  expect_failures = [var.consumers]
}

run "ordering_unknown" {
  command = plan

  variables {
    consumers = { consumer = { ordering = "global" } }
  }

  expect_failures = [var.consumers]
}

run "compatibility_unknown" {
  command = plan

  variables {
    producer = { compatibility = "lenient" }
  }

  expect_failures = [var.producer]
}

run "compatibility_by_its_old_name" {
  command = plan

  variables {
    producer = { status_mode = "confluent" }
  }

  expect_failures = [var.producer]
}

run "dead_letter_to_a_queue_of_the_function" {
  command = plan

  variables {
    consumers = { consumer = { dead_letter_topic = "sqs:https://example.com" } }
  }

  expect_failures = [var.consumers]
}

run "failure_destination_of_another_kind" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    consumers = { consumer = { failure_destination = "arn:aws:sqs:us-east-1:123456789012:failures.fifo" } }
  }

  expect_failures = [var.consumers]
}

run "batch_window_out_of_range" {
  command = plan

  variables {
    consumers = { consumer = { batch_window_seconds = 301 } }
  }

  expect_failures = [var.consumers]
}

run "canary_of_everything" {
  command = plan

  variables {
    producer = { canary = { version = "1", weight = 1 } }
  }

  expect_failures = [var.producer]
}

run "canary_of_what_is_kept_warm" {
  command = plan

  variables {
    producer = { canary = { version = "7", weight = 0.9 }, provisioned_concurrency = 2 }
  }

  expect_failures = [var.producer]
}

run "log_level_that_drops_the_metrics" {
  command = plan

  variables {
    log_level = "error"
  }

  expect_failures = [var.log_level]
}
