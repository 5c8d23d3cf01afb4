# Values that several files share. Rules with numbers in them (ports, versions, connection limits) live here once.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_availability_zones" "available" {
  state = "available"

  # Leaves out Local Zones and Wavelength zones, which have no MSK.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_subnet" "existing" {
  for_each = toset(local.adopts_network ? var.existing_network.private_subnet_ids : [])
  id       = each.value
}

data "aws_msk_cluster" "existing" {
  count        = local.adopts_cluster ? 1 : 0
  cluster_name = var.existing_cluster.name
}

locals {
  name       = var.name
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  dns_suffix = data.aws_partition.current.dns_suffix

  adopts_network = var.existing_network != null
  adopts_cluster = var.existing_cluster != null

  # --- Network -------------------------------------------------------------------------------------------------

  zones = local.adopts_network ? sort(distinct([for subnet in data.aws_subnet.existing : subnet.availability_zone])) : slice(sort(coalesce(var.availability_zones, data.aws_availability_zones.available.names)), 0, 3)

  # Private subnets are large (brokers, functions), public ones small (NAT gateways).
  private_subnet_cidrs = { for index, zone in local.zones : zone => cidrsubnet(var.vpc_cidr, 4, index) }
  public_subnet_cidrs  = { for index, zone in local.zones : zone => cidrsubnet(var.vpc_cidr, 8, 48 + index) }

  vpc_id             = local.adopts_network ? var.existing_network.vpc_id : aws_vpc.this[0].id
  private_subnet_ids = local.adopts_network ? var.existing_network.private_subnet_ids : [for zone in local.zones : aws_subnet.private[zone].id]
  public_subnet_ids  = local.adopts_network ? var.existing_network.public_subnet_ids : [for zone in local.zones : aws_subnet.public[zone].id]
  has_endpoints      = var.use_vpc_endpoints && !local.adopts_network

  # --- Ports and who talks to whom -------------------------------------------------------------------------------

  # https://docs.aws.amazon.com/msk/latest/developerguide/port-info.html (Kafka's plaintext 9092 is never opened).
  ports = {
    kafka_tls     = { port = 9094, label = "Kafka with TLS client certificates" }
    kafka_scram   = { port = 9096, label = "Kafka with SASL/SCRAM" }
    kafka_iam     = { port = 9098, label = "Kafka with IAM" }
    jmx_exporter  = { port = 11001, label = "JMX exporter" }
    node_exporter = { port = 11002, label = "node exporter" }
    https         = { port = 443, label = "HTTPS" }
    ssh           = { port = 22, label = "SSH" }
  }

  # "brokers" is also where the event source mapping's pollers live: they take the cluster's subnets and security group.
  # https://docs.aws.amazon.com/lambda/latest/dg/with-msk-cluster-network.html
  flows = concat([for name in keys(var.consumers) : { from = name, to = "brokers", port = "kafka_iam", when = true }], [
    { from = "brokers", to = "brokers", port = "kafka_iam", when = true },
    { from = "producer", to = "brokers", port = "kafka_iam", when = true },
    { from = "clients", to = "brokers", port = "kafka_iam", when = true },
    { from = "clients", to = "brokers", port = "kafka_tls", when = length(var.client_authentication.certificate_authority_arns) > 0 },
    { from = "clients", to = "brokers", port = "kafka_scram", when = var.client_authentication.scram },
    { from = "bastion", to = "brokers", port = "kafka_iam", when = var.enable_bastion },
    { from = "bastion", to = "brokers", port = "jmx_exporter", when = var.metrics_backend == "bastion" },
    { from = "bastion", to = "brokers", port = "node_exporter", when = var.metrics_backend == "bastion" },
    { from = "scraper", to = "brokers", port = "jmx_exporter", when = var.metrics_backend == "amp" },
    { from = "scraper", to = "brokers", port = "node_exporter", when = var.metrics_backend == "amp" },
    # On-demand pollers call Lambda and STS themselves; provisioned ones do not.
    { from = "brokers", to = local.has_endpoints ? "endpoints" : "internet", port = "https", when = var.esm_mode == "on_demand" },
    { from = "bastion", to = local.has_endpoints ? "endpoints" : "internet", port = "https", when = var.enable_bastion },
    { from = "bastion", to = "s3", port = "https", when = var.enable_bastion && local.has_endpoints },
    ],
    # Failed batches leave from the pollers' place; a network of your own has its way out or its endpoints.
    [for way in distinct([for service in local.failure_services : local.adopts_network ? "internet" : service == "s3" ? "s3" : "endpoints"]) : { from = "brokers", to = way, port = "https", when = true }],
  )

  open_flows = { for flow in local.flows : "${flow.from}-to-${flow.to}-${flow.port}" => flow if flow.when }

  security_groups = {
    for name, group in {
      brokers   = { when = !local.adopts_cluster, description = "MSK brokers, and the pollers of the event source mapping" }
      producer  = { when = true, description = "Producer function" }
      clients   = { when = true, description = "Attach this to other Kafka clients in the VPC" }
      bastion   = { when = var.enable_bastion, description = "Bastion" }
      scraper   = { when = var.metrics_backend == "amp", description = "Prometheus scraper" }
      endpoints = { when = length(local.endpoint_services) > 0, description = "VPC endpoints" }
    } : name => group.description if group.when
  }

  broker_security_group_id = local.adopts_cluster ? var.existing_cluster.security_group_id : aws_security_group.this["brokers"].id
  security_group_ids = merge(
    { for name, group in aws_security_group.this : name => group.id },
    { for name, it in module.consumer : name => it.security_group.id },
    { brokers = local.broker_security_group_id },
  )

  # --- Cluster -----------------------------------------------------------------------------------------------------

  # Date from which MSK no longer supports a version (null: none published). Read on 2026-10-01 from
  # https://docs.aws.amazon.com/msk/latest/developerguide/supported-kafka-versions.html and https://endoflife.date/amazon-msk
  kafka_end_of_support = {
    "3.6.0"       = "2026-06-01"
    "3.7.x"       = "2026-09-01"
    "3.7.x.kraft" = "2026-09-01"
    "3.8.x"       = null
    "3.8.x.kraft" = null
    "3.9.x"       = null
    "3.9.x.kraft" = null
    "4.0.x.kraft" = null
    "4.1.x.kraft" = null
  }

  # What Express brokers offer of these: 3.6, 3.8 and 3.9, in KRaft mode from 3.9 on. Read on 2026-11-25 from
  # https://docs.aws.amazon.com/msk/latest/developerguide/msk-broker-types-express.html
  express_kafka_versions = ["3.6.0", "3.8.x", "3.9.x", "3.9.x.kraft"]

  broker_instance_type = local.adopts_cluster ? data.aws_msk_cluster.existing[0].broker_node_group_info[0].instance_type : coalesce(var.broker_instance_type, var.broker_type == "express" ? "express.m7g.large" : "kafka.m7g.large")
  broker_count         = local.adopts_cluster ? data.aws_msk_cluster.existing[0].number_of_broker_nodes : var.broker_count
  is_express           = startswith(local.broker_instance_type, "express.")
  is_burstable         = startswith(local.broker_instance_type, "kafka.t3.")

  cluster_name = local.adopts_cluster ? var.existing_cluster.name : local.name
  cluster_arn  = local.adopts_cluster ? data.aws_msk_cluster.existing[0].arn : aws_msk_cluster.this[0].arn

  # MSK answers with three brokers of any number of them, other ones each time
  # (https://github.com/hashicorp/terraform-provider-aws/issues/35696): used as it is, above three brokers every plan would
  # change the functions and replace the bastion. Only the domain in it stays:
  # b-5.NAME.abc123.c2.kafka.REGION.amazonaws.com:9098,... -> NAME.abc123.c2.kafka.REGION.amazonaws.com
  bootstrap_answer = local.adopts_cluster ? data.aws_msk_cluster.existing[0].bootstrap_brokers_sasl_iam : aws_msk_cluster.this[0].bootstrap_brokers_sasl_iam
  broker_domain    = replace(local.bootstrap_answer, "/^[^.]*\\.([^:,]*).*$/", "$1")
  # The first three stand in three zones, and stay when brokers are added; a client learns of the others from any of them.
  bootstrap_hosts = [for id in range(1, min(3, local.broker_count) + 1) : "b-${id}.${local.broker_domain}"]
  bootstrap       = { for name in ["kafka_iam", "kafka_scram", "kafka_tls"] : name => join(",", [for host in local.bootstrap_hosts : "${host}:${local.ports[name].port}"]) }

  # arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID names its topics and groups as ...:topic/NAME/UUID/TOPIC.
  # https://docs.aws.amazon.com/msk/latest/developerguide/kafka-actions.html
  topic_arn_prefix = "${replace(local.cluster_arn, ":cluster/", ":topic/")}/"
  group_arn_prefix = "${replace(local.cluster_arn, ":cluster/", ":group/")}/"

  # Who authenticates with SCRAM or a certificate falls under Kafka's ACLs; who uses IAM does not:
  # https://docs.aws.amazon.com/msk/latest/developerguide/msk-acls.html
  acls_decide = var.client_authentication.scram || length(var.client_authentication.certificate_authority_arns) > 0

  # --- Regions that lack something ---------------------------------------------------------------------------------------

  # https://docs.aws.amazon.com/general/latest/gr/prometheus-service.html has every other region with MSK.
  regions_without_prometheus = ["ap-southeast-6", "cn-north-1", "cn-northwest-1"]
  # Read on 2026-11-28 from https://docs.aws.amazon.com/general/latest/gr/grafana-service.html; few have it, so these are named.
  regions_with_grafana = ["ap-northeast-1", "ap-northeast-2", "ap-southeast-1", "ap-southeast-2", "eu-central-1", "eu-west-1", "eu-west-2", "us-east-1", "us-east-2", "us-west-2"]
  # https://docs.aws.amazon.com/msk/latest/developerguide/msk-autoexpand.html
  regions_without_storage_autoscaling = ["af-south-1", "ap-northeast-3", "ap-southeast-5"]

  # --- Kafka's configuration -----------------------------------------------------------------------------------------

  # What keeps an acknowledged record: docs/MSK_HA_SETUP_GUIDE.md explains each line.
  ha_server_properties = {
    "default.replication.factor"               = var.replication_factor
    "min.insync.replicas"                      = var.min_insync_replicas
    "unclean.leader.election.enable"           = false
    "offsets.topic.replication.factor"         = var.replication_factor
    "transaction.state.log.replication.factor" = var.replication_factor
    "transaction.state.log.min.isr"            = var.min_insync_replicas
    "replica.selector.class"                   = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
  }
  fixed_server_properties = sort(concat(keys(local.ha_server_properties), ["auto.create.topics.enable"]))

  # All that a configuration and a topic may set on Express brokers; MSK fixes the rest, replication above all. Retention
  # is in ms because hours are not among them. Read on 2026-11-25 from
  # https://docs.aws.amazon.com/msk/latest/developerguide/msk-configuration-express-read-write.html
  express_server_properties = [
    "allow.everyone.if.no.acl.found", "auto.create.topics.enable", "compression.type", "connections.max.idle.ms",
    "delete.topic.enable", "group.initial.rebalance.delay.ms", "group.max.session.timeout.ms",
    "leader.imbalance.per.broker.percentage", "log.cleanup.policy", "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms", "log.message.timestamp.type", "log.retention.bytes", "log.retention.ms",
    "max.connections.per.ip", "max.incremental.fetch.session.cache.slots", "message.max.bytes", "num.partitions",
    "offsets.retention.minutes", "replica.fetch.max.bytes", "replica.selector.class", "socket.receive.buffer.bytes",
    "socket.request.max.bytes", "socket.send.buffer.bytes", "transaction.max.timeout.ms", "transactional.id.expiration.ms",
  ]
  express_topic_settings = [
    "cleanup.policy", "compression.type", "delete.retention.ms", "max.compaction.lag.ms", "max.message.bytes",
    "message.timestamp.after.max.ms", "message.timestamp.before.max.ms", "message.timestamp.type", "min.compaction.lag.ms",
    "retention.bytes", "retention.ms",
  ]

  server_properties = merge(
    { "num.partitions" = 6, "log.retention.ms" = 604800000 },
    var.server_properties,
    { "auto.create.topics.enable" = false },
    # MSK's default is true: every SCRAM user and every certificate could read, write and delete every topic without an ACL.
    local.acls_decide ? { "allow.everyone.if.no.acl.found" = false } : {},
    { for key, value in local.ha_server_properties : key => value if !local.is_express || contains(local.express_server_properties, key) },
  )

  # --- Connections ---------------------------------------------------------------------------------------------------

  # MSK takes, with IAM, 3,000 connections a broker and 100 new ones a second (4 on t3.small); beyond that clients are
  # refused. https://docs.aws.amazon.com/msk/latest/developerguide/limits.html
  # One execution environment opens at most two connections to a broker (bootstrap, then the partition leader's).
  #   cold starts: environments x 2 connections, spread by the reconnect backoff over 4 s, stay under the rate
  #   steady:      environments x 2 connections stay under 80 % of 3,000; the rest is for pollers, operators, others
  # Three quarters of the smaller figure go to the producer, one quarter to the consumers: 150 and 50 (t3.small: 6 and 2).
  connections = {
    per_environment        = 2
    per_broker             = 3000
    share_for_functions    = 0.8
    new_per_second         = local.is_burstable ? 4 : 100
    cold_start_spread_s    = 4
    share_for_the_producer = 0.75
  }
  concurrency_budget = floor(min(
    local.connections.new_per_second * local.connections.cold_start_spread_s / local.connections.per_environment,
    local.connections.per_broker * local.connections.share_for_functions / local.connections.per_environment,
  ))
  producer_concurrency_limit = floor(local.concurrency_budget * local.connections.share_for_the_producer)
  consumer_concurrency_limit = local.concurrency_budget - local.producer_concurrency_limit
}
