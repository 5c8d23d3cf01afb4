# The invariants of a highly available cluster: each run is named after the one that it holds.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

run "three_zones_with_a_broker_each" {
  command = plan

  assert {
    condition     = length(local.zones) == 3 && length(aws_subnet.private) == 3 && length(aws_subnet.public) == 3
    error_message = "The network must span exactly three zones."
  }
  assert {
    condition     = toset(aws_msk_cluster.this[0].broker_node_group_info[0].client_subnets) == toset([for subnet in aws_subnet.private : subnet.id])
    error_message = "The brokers must be in the three private subnets."
  }
  assert {
    condition     = length(distinct([for subnet in aws_subnet.private : subnet.availability_zone])) == 3
    error_message = "The three private subnets must be in three different zones."
  }
  assert {
    condition     = aws_msk_cluster.this[0].number_of_broker_nodes == 3
    error_message = "There must be a broker in each zone."
  }
}

run "replication_factor_3" {
  command = plan

  assert {
    condition = alltrue([for line in ["default.replication.factor=3", "offsets.topic.replication.factor=3", "transaction.state.log.replication.factor=3"] :
    contains(split("\n", aws_msk_configuration.this[0].server_properties), line)])
    error_message = "Topics, consumer offsets and the transaction log must all have three copies."
  }
  assert {
    condition     = length(aws_msk_topic.this) > 0 && alltrue([for topic in aws_msk_topic.this : topic.replication_factor == 3])
    error_message = "Every topic must have three copies."
  }
}

run "min_insync_replicas_2" {
  command = plan

  assert {
    condition     = alltrue([for line in ["min.insync.replicas=2", "transaction.state.log.min.isr=2"] : contains(split("\n", aws_msk_configuration.this[0].server_properties), line)])
    error_message = "An acknowledged record must be on two brokers at least."
  }
  assert {
    condition     = alltrue([for topic in aws_msk_topic.this : jsondecode(topic.configs)["min.insync.replicas"] == "2"])
    error_message = "Every topic must say min.insync.replicas=2 itself, whatever the cluster's default becomes."
  }
}

run "no_unclean_leader_election" {
  command = plan

  assert {
    condition     = contains(split("\n", aws_msk_configuration.this[0].server_properties), "unclean.leader.election.enable=false")
    error_message = "A broker without the newest records must never lead: MSK's own default is true."
  }
}

run "no_topic_by_accident" {
  command = plan

  assert {
    condition     = contains(split("\n", aws_msk_configuration.this[0].server_properties), "auto.create.topics.enable=false")
    error_message = "A misspelt topic must be an error, not a new topic."
  }
}

run "reads_from_the_same_zone" {
  command = plan

  assert {
    condition     = contains(split("\n", aws_msk_configuration.this[0].server_properties), "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector")
    error_message = "Consumers must be able to read the copy in their own zone."
  }
}

run "one_property_per_line" {
  command = plan

  assert {
    condition     = alltrue([for line in split("\n", aws_msk_configuration.this[0].server_properties) : can(regex("^[a-z0-9._]+=[^=]+$", line))])
    error_message = "MSK reads one key=value per line."
  }
  assert {
    condition     = aws_msk_configuration.this[0].kafka_versions == null
    error_message = "kafka_versions forces a new configuration on every upgrade."
  }
}

run "tls_only" {
  command = plan

  assert {
    condition     = aws_msk_cluster.this[0].encryption_info[0].encryption_in_transit[0].client_broker == "TLS" && aws_msk_cluster.this[0].encryption_info[0].encryption_in_transit[0].in_cluster
    error_message = "No byte may travel unencrypted, neither from clients nor between brokers."
  }
}

run "iam_on_and_nobody_unauthenticated" {
  command = plan

  assert {
    condition     = aws_msk_cluster.this[0].client_authentication[0].sasl[0].iam
    error_message = "The functions authenticate with IAM."
  }
  assert {
    condition     = !aws_msk_cluster.this[0].client_authentication[0].unauthenticated && !aws_msk_cluster.this[0].client_authentication[0].sasl[0].scram && length(aws_msk_cluster.this[0].client_authentication[0].tls) == 0
    error_message = "Nothing but IAM may be open by default."
  }
}

run "other_clients_authentication_is_a_choice" {
  command = plan

  variables {
    client_authentication = {
      scram                      = true
      scram_secret_arns          = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:AmazonMSK_legacy-a1b2c3"]
      certificate_authority_arns = ["arn:aws:acm-pca:us-east-1:123456789012:certificate-authority/00000000-1111-2222-3333-444444444444"]
    }
  }

  assert {
    condition     = aws_msk_cluster.this[0].client_authentication[0].sasl[0].iam && aws_msk_cluster.this[0].client_authentication[0].sasl[0].scram && length(aws_msk_cluster.this[0].client_authentication[0].tls) == 1
    error_message = "SCRAM and TLS must be added to IAM, not replace it."
  }
  assert {
    condition     = length(aws_msk_scram_secret_association.this) == 1
    error_message = "The SCRAM secrets must be associated."
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.this : rule.from_port if startswith(rule.description, "Kafka") && endswith(rule.description, "clients")]) == toset([9094, 9096, 9098])
    error_message = "Exactly the three listeners must be open for other clients."
  }
}

run "key_of_our_own" {
  command = plan

  assert {
    condition     = aws_msk_cluster.this[0].encryption_info[0].encryption_at_rest_kms_key_arn == aws_kms_key.this.arn
    error_message = "The volumes must be encrypted with this configuration's key."
  }
  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "The key must rotate, and deleting it must leave 30 days to think again."
  }
  assert {
    condition     = aws_lambda_function.producer.kms_key_arn == aws_kms_key.this.arn && module.consumer["consumer"].function.kms_key_arn == aws_kms_key.this.arn
    error_message = "The functions' environments must be encrypted with this configuration's key."
  }
}

run "not_reachable_from_the_internet" {
  command = plan

  assert {
    condition     = aws_msk_cluster.this[0].broker_node_group_info[0].connectivity_info[0].public_access[0].type == "DISABLED"
    error_message = "Brokers must have no public address."
  }
}

run "exporters_and_broker_metrics_on" {
  command = plan

  assert {
    condition     = aws_msk_cluster.this[0].open_monitoring[0].prometheus[0].jmx_exporter[0].enabled_in_broker && aws_msk_cluster.this[0].open_monitoring[0].prometheus[0].node_exporter[0].enabled_in_broker
    error_message = "The JMX and node exporters must be on."
  }
  assert {
    condition     = aws_msk_cluster.this[0].enhanced_monitoring == "PER_BROKER"
    error_message = "The alarms need PER_BROKER metrics."
  }
  assert {
    condition     = aws_msk_cluster.this[0].logging_info[0].broker_logs[0].cloudwatch_logs[0].enabled && aws_msk_cluster.this[0].logging_info[0].broker_logs[0].cloudwatch_logs[0].log_group == aws_cloudwatch_log_group.this["brokers"].name
    error_message = "Broker logs must go to CloudWatch."
  }
}

run "supported_kafka_by_default" {
  command = plan

  assert {
    condition     = aws_msk_cluster.this[0].kafka_version == "3.9.x.kraft"
    error_message = "The default must be a version that MSK supports, without ZooKeeper."
  }
  assert {
    condition     = aws_msk_cluster.this[0].broker_node_group_info[0].instance_type == "kafka.m7g.large"
    error_message = "The default must be the smallest broker for production."
  }
}

run "storage_grows_and_never_shrinks" {
  command = plan

  assert {
    condition     = aws_msk_cluster.this[0].broker_node_group_info[0].storage_info[0].ebs_storage_info[0].volume_size == 100
    error_message = "Volumes start at storage.size_gib."
  }
  assert {
    condition     = aws_appautoscaling_target.storage[0].scalable_dimension == "kafka:broker-storage:VolumeSize" && aws_appautoscaling_target.storage[0].max_capacity == 1000
    error_message = "The volumes must grow up to storage.max_size_gib."
  }
  assert {
    condition     = aws_appautoscaling_policy.storage[0].target_tracking_scaling_policy_configuration[0].disable_scale_in && aws_appautoscaling_policy.storage[0].target_tracking_scaling_policy_configuration[0].target_value == 60
    error_message = "Growth starts at 60 % and is never taken back."
  }
}

run "express_leaves_storage_and_replication_to_aws" {
  command = plan

  variables {
    broker_type = "express"
  }

  assert {
    condition     = aws_msk_cluster.this[0].broker_node_group_info[0].instance_type == "express.m7g.large" && length(aws_msk_cluster.this[0].broker_node_group_info[0].storage_info) == 0 && length(aws_appautoscaling_target.storage) == 0
    error_message = "Express brokers have no volumes: MSK refuses storage_info."
  }
  assert {
    condition     = !strcontains(aws_msk_configuration.this[0].server_properties, "min.insync") && !strcontains(aws_msk_configuration.this[0].server_properties, "replication.factor") && !strcontains(aws_msk_configuration.this[0].server_properties, "unclean")
    error_message = "Express brokers fix replication and refuse its settings."
  }
  assert {
    # All four are in AWS's list: https://docs.aws.amazon.com/msk/latest/developerguide/msk-configuration-express-read-write.html
    condition     = toset(split("\n", aws_msk_configuration.this[0].server_properties)) == toset(["auto.create.topics.enable=false", "log.retention.ms=604800000", "num.partitions=6", "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector"])
    error_message = "Express brokers take the settings of AWS's list only; reads from the same zone are among them."
  }
  assert {
    condition     = length(setsubtract(flatten([for topic in aws_msk_topic.this : keys(jsondecode(topic.configs))]), ["cleanup.policy", "max.message.bytes", "retention.ms"])) == 0
    error_message = "Topics on Express brokers take the settings of AWS's list only."
  }
  assert {
    condition     = aws_msk_cluster.this[0].rebalancing[0].status == "ACTIVE"
    error_message = "Express clusters rebalance by themselves."
  }
  assert {
    condition     = alltrue([for topic in aws_msk_topic.this : topic.replication_factor == 3])
    error_message = "Topics have three copies on Express too."
  }
}

run "express_takes_what_is_in_its_list" {
  command = plan

  variables {
    broker_type       = "express"
    kafka_version     = "3.9.x"
    server_properties = { "log.retention.bytes" = "1073741824", "message.max.bytes" = "2097152" }
    topics            = { orders = { config = { "cleanup.policy" = "compact" } } }
  }

  assert {
    condition     = length(setsubtract([for line in split("\n", aws_msk_configuration.this[0].server_properties) : split("=", line)[0]], local.express_server_properties)) == 0 && strcontains(aws_msk_configuration.this[0].server_properties, "message.max.bytes=2097152")
    error_message = "What AWS lists for Express brokers must reach them, and nothing else."
  }
}

run "topics_and_their_dead_letters" {
  command = plan

  variables {
    topics = {
      orders   = { partitions = 12, config = { "retention.ms" = "86400000" } }
      payments = { partitions = 3 }
      audit    = { consumed = false, dead_letter = false }
    }
  }

  assert {
    condition     = toset(keys(aws_msk_topic.this)) == toset(["orders", "payments", "audit", "orders.dlq", "payments.dlq"])
    error_message = "Each topic must have a dead-letter topic, but for one that is not consumed and can do without."
  }
  assert {
    condition     = aws_msk_topic.this["orders"].partition_count == 12 && aws_msk_topic.this["orders.dlq"].partition_count == 12
    error_message = "A dead-letter topic has as many partitions as its source, so that partitions can be kept."
  }
  assert {
    condition     = jsondecode(aws_msk_topic.this["orders"].configs)["retention.ms"] == "86400000" && jsondecode(aws_msk_topic.this["orders.dlq"].configs)["retention.ms"] == "1209600000"
    error_message = "Topics keep their own settings; dead letters wait two weeks."
  }
}

# prevent_destroy refuses every plan in which a topic is gone, so what one of these settings makes, the others must keep.
run "topic_out_of_use_keeps_its_dead_letters" {
  command = plan

  variables {
    topics = {
      orders   = { partitions = 12, produced = false, consumed = false }
      payments = {}
    }
  }

  assert {
    condition     = toset(keys(aws_msk_topic.this)) == toset(["orders", "payments", "orders.dlq", "payments.dlq"]) && try(aws_msk_topic.this["orders.dlq"].partition_count, 0) == 12
    error_message = "A topic that is no longer consumed must keep its dead-letter topic as it is, or the plan is refused."
  }
  assert {
    condition     = keys(module.consumer["consumer"].mappings) == ["payments"] && strcontains(module.consumer["consumer"].policy, "/payments.dlq") && !strcontains(module.consumer["consumer"].policy, "orders")
    error_message = "What is not consumed gets no mapping and no rights, its dead-letter topic neither."
  }
}

run "dead_letters_out_of_use_keep_their_topics" {
  command = plan

  variables {
    consumers = { consumer = { dead_letter_topic = "" } }
  }

  assert {
    condition     = toset(keys(aws_msk_topic.this)) == toset(["orders", "orders.dlq"])
    error_message = "Without dead letters the topic that holds the earlier ones must stay, or the plan is refused."
  }
}

run "dead_letters_of_an_earlier_name_are_kept_by_declaring_them" {
  command = plan

  variables {
    topics = {
      orders       = {}
      "orders.dlq" = { produced = false, consumed = false, dead_letter = false }
    }
    consumers = { consumer = { dead_letter_topic = "{topic}.failed" } }
  }

  assert {
    condition     = toset(keys(aws_msk_topic.this)) == toset(["orders", "orders.dlq", "orders.failed"])
    error_message = "A topic that once held dead letters must stay when it is declared."
  }
}

run "a_dead_letter_topic_has_none_of_its_own" {
  command = plan

  variables {
    topics = {
      orders       = {}
      "orders.dlq" = { produced = false, consumed = false, config = { "retention.ms" = "2592000000" } }
    }
  }

  assert {
    condition     = toset(keys(aws_msk_topic.this)) == toset(["orders", "orders.dlq"]) && jsondecode(aws_msk_topic.this["orders.dlq"].configs)["retention.ms"] == "2592000000"
    error_message = "A dead-letter topic that is declared keeps its own settings, and gets no dead-letter topic itself."
  }
}

run "logs_are_kept_and_encrypted" {
  command = plan

  assert {
    condition     = toset(keys(aws_cloudwatch_log_group.this)) == toset(["api", "brokers", "flow_log", "producer", "sessions"])
    error_message = "Brokers, producer, API, network and shells on the bastion must each have a log group; a consumer's is in its module."
  }
  assert {
    condition     = alltrue([for group in concat(values(aws_cloudwatch_log_group.this), aws_cloudwatch_log_group.prometheus, values(module.consumer)[*].log_group) : group.retention_in_days == 365 && group.kms_key_id == aws_kms_key.this.arn])
    error_message = "Every log group must have a retention and the key."
  }
  assert {
    condition     = alltrue([for name in ["api", "brokers"] : startswith(aws_cloudwatch_log_group.this[name].name, "/aws/vendedlogs/")])
    error_message = "Log delivery adds every other group to a resource policy of the account that is soon full."
  }
  assert {
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    condition = alltrue([for group in concat(values(aws_cloudwatch_log_group.this), aws_cloudwatch_log_group.prometheus, values(module.consumer)[*].log_group) : anytrue([
      for pattern in flatten([for statement in jsondecode(aws_kms_key.this.policy).Statement : try(statement.Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"], [])]) :
      can(regex("^${replace(replace(pattern, ".", "\\."), "*", ".*")}$", "arn:aws:logs:us-east-1:123456789012:log-group:${group.name}"))
    ])])
    error_message = "CloudWatch Logs must be let to the key for each of these groups."
  }
  assert {
    condition = !anytrue([for pattern in flatten([for statement in jsondecode(aws_kms_key.this.policy).Statement : try(statement.Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"], [])]) :
      can(regex("^${replace(replace(pattern, ".", "\\."), "*", ".*")}$", "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/somebody-elses"))
    ])
    error_message = "Nobody else's log groups may use the key."
  }
}

run "an_existing_cluster_is_adopted" {
  command = plan

  variables {
    existing_network = { vpc_id = "vpc-adopted", private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"] }
    existing_cluster = { name = "adopted", security_group_id = "sg-adopted" }
  }

  override_data {
    target = data.aws_subnet.existing["subnet-a"]
    values = { availability_zone = "us-east-1a" }
  }
  override_data {
    target = data.aws_subnet.existing["subnet-b"]
    values = { availability_zone = "us-east-1b" }
  }
  override_data {
    target = data.aws_subnet.existing["subnet-c"]
    values = { availability_zone = "us-east-1c" }
  }

  assert {
    condition     = length(aws_msk_cluster.this) == 0 && length(aws_vpc.this) == 0 && length(aws_nat_gateway.this) == 0 && length(aws_flow_log.this) == 0
    error_message = "An adopted network and cluster must not be built again."
  }
  assert {
    condition     = alltrue([for mapping in module.consumer["consumer"].mappings : mapping.event_source_arn == data.aws_msk_cluster.existing[0].arn])
    error_message = "The mapping must read the adopted cluster."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.this["producer-to-brokers-kafka_iam"].security_group_id == "sg-adopted"
    error_message = "The adopted brokers' security group must let the functions in."
  }
  assert {
    condition     = aws_lambda_function.producer.environment[0].variables.KAFKA_BOOTSTRAP_SERVERS == "b-1.adopted.kafka.us-east-1.amazonaws.com:9098,b-2.adopted.kafka.us-east-1.amazonaws.com:9098,b-3.adopted.kafka.us-east-1.amazonaws.com:9098"
    error_message = "The functions must be given the adopted cluster's brokers."
  }
}
