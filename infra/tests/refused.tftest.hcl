# Bad input is refused before anything is planned, by the variable that it came in: the whole, the network, the cluster,
# topics and monitoring (variables.tf).

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

run "kafka_that_express_lacks" {
  command = plan

  variables {
    broker_type   = "express"
    kafka_version = "4.1.x.kraft"
  }

  expect_failures = [var.kafka_version]
}

run "setting_that_express_lacks" {
  command = plan

  variables {
    broker_type       = "express"
    server_properties = { "log.retention.hours" = "72" }
  }

  expect_failures = [var.server_properties]
}

run "topic_setting_that_express_lacks" {
  command = plan

  variables {
    broker_type = "express"
    topics      = { orders = { config = { "segment.bytes" = "52428800" } } }
  }

  expect_failures = [var.topics]
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

run "storage_autoscaling_where_aws_has_none" {
  command = plan

  variables {
    region             = "ap-northeast-3"
    availability_zones = ["ap-northeast-3a", "ap-northeast-3b", "ap-northeast-3c"]
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

run "consumed_topic_of_one_character" {
  command = plan

  variables {
    topics = { o = {} }
  }

  expect_failures = [var.topics]
}

run "consumed_topic_with_a_leading_dot" {
  command = plan

  variables {
    topics = { ".orders" = {} }
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

run "topic_schema_outside_its_folder" {
  command = plan

  variables {
    topics = { orders = { policy = { schema = "../orders.v1" } } }
  }

  expect_failures = [var.topics]
}

run "topic_compression_that_is_not_built" {
  command = plan

  variables {
    topics = { orders = { policy = { compression = "zstd" } } }
  }

  expect_failures = [var.topics]
}

run "topic_key_rule_unknown" {
  command = plan

  variables {
    topics = { orders = { policy = { key = "always" } } }
  }

  expect_failures = [var.topics]
}

run "topic_format_unknown" {
  command = plan

  variables {
    topics = { orders = { policy = { formats = ["json", "avro"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_without_any_format" {
  command = plan

  variables {
    topics = { orders = { policy = { formats = [] } } }
  }

  expect_failures = [var.topics]
}

run "topic_record_size_out_of_range" {
  command = plan

  variables {
    topics = { orders = { policy = { max_record_bytes = 0 } } }
  }

  expect_failures = [var.topics]
}

run "topic_principals_empty" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = [] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_of_no_form" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["shop"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_of_everybody" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["*"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_in_every_account" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["arn:aws:iam::*:role/shop"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_that_is_a_session" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["arn:aws:sts::123456789012:assumed-role/shop/session"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_that_is_a_group" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["arn:aws:iam::123456789012:group/shop"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_with_a_path_and_a_wildcard" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["arn:aws:iam::123456789012:role/team/*"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_with_a_wildcard_inside" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["arn:aws:iam::123456789012:role/*-shop"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_with_a_long_name" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["arn:aws:iam::123456789012:role/rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_without_a_subject" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["sub:"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_with_two_scopes" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["scope:a b"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_with_a_wildcard_in_a_claim" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["client_id:*"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principal_after_a_good_one" {
  command = plan

  variables {
    topics = { orders = { policy = { principals = ["arn:aws:iam::123456789012:role/shop", "shop"] } } }
  }

  expect_failures = [var.topics]
}

run "topic_principals_without_any_caller" {
  command = plan

  variables {
    topics                    = { orders = { policy = { principals = ["arn:aws:iam::123456789012:role/shop"] } } }
    api                       = { authorization = "NONE" }
    allow_unauthenticated_api = true
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

run "retention_out_of_range" {
  command = plan

  variables {
    log_retention_days = 100
  }

  expect_failures = [var.log_retention_days]
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

run "prometheus_where_aws_has_none" {
  command = plan

  variables {
    region             = "ap-southeast-6"
    availability_zones = ["ap-southeast-6a", "ap-southeast-6b", "ap-southeast-6c"]
  }

  expect_failures = [var.metrics_backend]
}

run "prometheus_on_the_bastion_where_aws_has_none" {
  command = plan

  variables {
    region             = "cn-north-1"
    availability_zones = ["cn-north-1a", "cn-north-1b", "cn-north-1d"]
    metrics_backend    = "bastion"
  }

  expect_failures = [var.metrics_backend]
}

run "name_that_ec2_refuses" {
  command = plan

  variables {
    name = "sg-orders"
  }

  expect_failures = [var.name]
}

run "lag_limits_in_records" {
  command = plan

  variables {
    consumer_lag_limits = { total_offset_lag = 50000 }
  }

  expect_failures = [var.consumer_lag_limits]
}

run "lag_limits_in_records_of_a_partition" {
  command = plan

  variables {
    consumer_lag_limits = { partition_offset_lag = 10000 }
  }

  expect_failures = [var.consumer_lag_limits]
}
