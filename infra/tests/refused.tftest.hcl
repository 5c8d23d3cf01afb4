# Bad input is refused before anything is planned, by the variable that it came in.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

run "two_zones" {
  command = plan

  variables {
    availability_zones = ["us-east-1a", "us-east-1b"]
  }

  expect_failures = [var.availability_zones]
}

run "the_same_zone_twice" {
  command = plan

  variables {
    availability_zones = ["us-east-1a", "us-east-1b", "us-east-1b"]
  }

  expect_failures = [var.availability_zones]
}

run "adopted_network_with_two_subnets" {
  command = plan

  variables {
    existing_network = { vpc_id = "vpc-1", private_subnet_ids = ["subnet-1", "subnet-2"] }
  }

  expect_failures = [var.existing_network]
}

run "adopted_cluster_without_its_network" {
  command = plan

  variables {
    existing_cluster = { name = "c", security_group_id = "sg-1" }
  }

  expect_failures = [var.existing_cluster]
}

run "brokers_not_a_multiple_of_the_zones" {
  command = plan

  variables {
    broker_count = 4
  }

  expect_failures = [var.broker_count]
}

run "more_brokers_than_msk_has" {
  command = plan

  variables {
    broker_count = 63
  }

  expect_failures = [var.broker_count]
}

run "replication_factor_above_brokers" {
  command = plan

  variables {
    replication_factor  = 4
    min_insync_replicas = 3
  }

  expect_failures = [var.replication_factor]
}

run "replication_factor_2" {
  command = plan

  variables {
    replication_factor  = 2
    min_insync_replicas = 1
  }

  expect_failures = [var.replication_factor]
}

run "min_isr_equal_to_replication_factor" {
  command = plan

  variables {
    min_insync_replicas = 3
  }

  expect_failures = [var.min_insync_replicas]
}

run "min_isr_1" {
  command = plan

  variables {
    min_insync_replicas = 1
  }

  expect_failures = [var.min_insync_replicas]
}

run "kafka_past_its_support" {
  command = plan

  variables {
    kafka_version = "3.6.0"
  }

  expect_failures = [var.kafka_version]
}

run "kafka_unknown_to_msk" {
  command = plan

  variables {
    kafka_version = "2.13"
  }

  expect_failures = [var.kafka_version]
}

run "t3_with_express" {
  command = plan

  variables {
    broker_type          = "express"
    broker_instance_type = "kafka.t3.small"
  }

  expect_failures = [var.broker_instance_type]
}

run "express_size_with_standard" {
  command = plan

  variables {
    broker_instance_type = "express.m7g.large"
  }

  expect_failures = [var.broker_instance_type]
}

run "instance_type_unknown_to_msk" {
  command = plan

  variables {
    broker_instance_type = "kafka.m9.large"
  }

  expect_failures = [var.broker_instance_type]
}

run "broker_type_unknown" {
  command = plan

  variables {
    broker_type = "serverless"
  }

  expect_failures = [var.broker_type]
}

run "four_copies_on_express" {
  command = plan

  variables {
    broker_type         = "express"
    broker_count        = 6
    replication_factor  = 4
    min_insync_replicas = 3
  }

  expect_failures = [var.replication_factor]
}

run "volume_beyond_ebs" {
  command = plan

  variables {
    storage = { size_gib = 20000, max_size_gib = 20000 }
  }

  expect_failures = [var.storage]
}

run "volume_above_its_maximum" {
  command = plan

  variables {
    storage = { size_gib = 500, max_size_gib = 100 }
  }

  expect_failures = [var.storage]
}

run "storage_target_out_of_range" {
  command = plan

  variables {
    storage = { target_percent = 90 }
  }

  expect_failures = [var.storage]
}

run "provisioned_throughput_on_small_brokers" {
  command = plan

  variables {
    storage = { provisioned_throughput = 250 }
  }

  expect_failures = [var.storage]
}

run "unclean_election_through_the_back_door" {
  command = plan

  variables {
    server_properties = { "unclean.leader.election.enable" = "true" }
  }

  expect_failures = [var.server_properties]
}

run "min_isr_through_the_back_door" {
  command = plan

  variables {
    server_properties = { "min.insync.replicas" = "1" }
  }

  expect_failures = [var.server_properties]
}

run "auto_creation_through_the_back_door" {
  command = plan

  variables {
    server_properties = { "auto.create.topics.enable" = "true" }
  }

  expect_failures = [var.server_properties]
}

run "two_properties_in_one" {
  command = plan

  variables {
    server_properties = { "log.retention.hours" = "1\nunclean.leader.election.enable=true" }
  }

  expect_failures = [var.server_properties]
}

run "monitoring_too_coarse_for_the_alarms" {
  command = plan

  variables {
    enhanced_monitoring = "DEFAULT"
  }

  expect_failures = [var.enhanced_monitoring]
}

run "scram_secret_with_another_name" {
  command = plan

  variables {
    client_authentication = { scram = true, scram_secret_arns = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:mine-a1b2c3"] }
  }

  expect_failures = [var.client_authentication]
}

run "topic_name_unknown_to_kafka" {
  command = plan

  variables {
    topics = { "or ders" = {} }
  }

  expect_failures = [var.topics]
}

run "topic_without_partitions" {
  command = plan

  variables {
    topics = { orders = { partitions = 0 } }
  }

  expect_failures = [var.topics]
}

run "nothing_to_produce" {
  command = plan

  variables {
    topics = { orders = { produced = false } }
  }

  expect_failures = [var.topics]
}

run "topic_with_one_in_sync_replica" {
  command = plan

  variables {
    topics = { orders = { config = { "min.insync.replicas" = "1" } } }
  }

  expect_failures = [var.topics]
}

run "default_topic_that_nobody_writes" {
  command = plan

  variables {
    default_topic = "payments"
  }

  expect_failures = [var.default_topic]
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
    consumer = { maximum_retries = 3 }
  }

  expect_failures = [var.consumer]
}

run "pollers_on_demand" {
  command = plan

  variables {
    consumer = { minimum_pollers = 1 }
  }

  expect_failures = [var.consumer]
}

run "bisect_on_demand" {
  command = plan

  variables {
    consumer = { bisect_on_error = true }
  }

  expect_failures = [var.consumer]
}

run "failure_destination_on_demand" {
  command = plan

  variables {
    consumer = { failure_destination = "dead_letter_topic" }
  }

  expect_failures = [var.consumer]
}

run "esm_metrics_on_demand" {
  command = plan

  variables {
    consumer = { event_source_metrics = ["EventCount"] }
  }

  expect_failures = [var.consumer]
}

run "dead_letters_back_to_their_source" {
  command = plan

  variables {
    consumer = { dead_letter_topic = "{topic}" }
  }

  expect_failures = [var.consumer]
}

run "dead_letters_into_another_consumed_topic" {
  command = plan

  variables {
    topics   = { orders = {}, failed = {} }
    consumer = { dead_letter_topic = "failed" }
  }

  expect_failures = [var.consumer]
}

run "record_age_out_of_range" {
  command = plan

  variables {
    esm_mode = "provisioned"
    consumer = { maximum_age_seconds = 30 }
  }

  expect_failures = [var.consumer]
}

run "retries_for_ever" {
  command = plan

  variables {
    esm_mode = "provisioned"
    consumer = { maximum_retries = -1 }
  }

  expect_failures = [var.consumer]
}

run "more_pollers_at_least_than_at_most" {
  command = plan

  variables {
    esm_mode = "provisioned"
    consumer = { minimum_pollers = 5, maximum_pollers = 2 }
  }

  expect_failures = [var.consumer]
}

run "consumer_timeout_beyond_kafkas" {
  command = plan

  variables {
    consumer = { timeout_seconds = 900 }
  }

  expect_failures = [var.consumer]
}

run "batch_size_out_of_range" {
  command = plan

  variables {
    consumer = { batch_size = 10001 }
  }

  expect_failures = [var.consumer]
}

run "one_group_for_two_mappings" {
  command = plan

  variables {
    topics   = { orders = {}, payments = {} }
    consumer = { consumer_group = "shared" }
  }

  expect_failures = [var.consumer]
}

run "group_name_that_hides_the_lag" {
  command = plan

  variables {
    consumer = { consumer_group = "team:{topic}" }
  }

  expect_failures = [var.consumer]
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
    consumer = { reserved_concurrency = 51 }
  }

  expect_failures = [var.consumer]
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

run "retention_out_of_range" {
  command = plan

  variables {
    log_retention_days = 100
  }

  expect_failures = [var.log_retention_days]
}

run "log_level_that_drops_the_metrics" {
  command = plan

  variables {
    log_level = "error"
  }

  expect_failures = [var.log_level]
}

run "name_that_aws_refuses" {
  command = plan

  variables {
    name = "My_Cluster"
  }

  expect_failures = [var.name]
}

run "vpc_too_small" {
  command = plan

  variables {
    vpc_cidr = "10.0.0.0/24"
  }

  expect_failures = [var.vpc_cidr]
}

run "boundary_that_is_no_policy" {
  command = plan

  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:role/x"
  }

  expect_failures = [var.permissions_boundary_arn]
}

run "metrics_backend_without_its_bastion" {
  command = plan

  variables {
    metrics_backend = "bastion"
    enable_bastion  = false
  }

  expect_failures = [var.metrics_backend]
}

run "zip_that_was_not_built" {
  command = plan

  variables {
    function_zip_directory = "./tests/fixtures/missing"
  }

  expect_failures = [aws_lambda_function.producer, aws_lambda_function.consumer]
}

run "adopted_subnets_in_two_zones" {
  command = plan

  variables {
    existing_network = { vpc_id = "vpc-adopted", private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"] }
  }

  override_data {
    target = data.aws_subnet.existing["subnet-a"]
    values = { availability_zone = "us-east-1a" }
  }
  override_data {
    target = data.aws_subnet.existing["subnet-b"]
    values = { availability_zone = "us-east-1a" }
  }
  override_data {
    target = data.aws_subnet.existing["subnet-c"]
    values = { availability_zone = "us-east-1b" }
  }

  expect_failures = [aws_msk_cluster.this[0]]
}
