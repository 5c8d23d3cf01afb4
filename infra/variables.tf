# Inputs of the whole, the network, the cluster, its topics and the monitoring; those of the functions, the API and the
# bastion are in variables-app.tf. Every one has a safe default; examples/dev.tfvars is the cheap set,
# examples/production.tfvars the strict one.

# ----------------------------------------------------------------------------
# Whole
# ----------------------------------------------------------------------------

variable "name" {
  description = "Prefix of every name: cluster, functions, roles, log groups, alarms. Changing it later replaces the cluster."
  type        = string
  default     = "msk-ha-cluster"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 32 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen: it becomes part of role, function and cluster names."
  }
}

variable "region" {
  description = "AWS region. Any region with three availability zones and MSK, in the commercial, China and GovCloud partitions. Some lack Managed Prometheus or storage that grows by itself; the plan then says what to set (locals.tf lists them)."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be a region's code, such as us-east-1, ap-northeast-2 or us-gov-west-1."
  }
}

variable "tags" {
  description = "Tags added to everything, next to Project and ManagedBy."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "ARN of an IAM policy set as the permissions boundary of every role made here; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:policy/", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy (arn:aws:iam::123456789012:policy/name) or null."
  }
}

variable "log_retention_days" {
  description = "Days that every log group keeps its lines."
  type        = number
  default     = 365
  nullable    = false

  validation {
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of CloudWatch's values: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

# ----------------------------------------------------------------------------
# Network
# ----------------------------------------------------------------------------

variable "vpc_cidr" {
  description = "IPv4 range of the VPC, between /16 and /20; it is cut into three private and three public subnets."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && can(regex("/(1[6-9]|20)$", var.vpc_cidr))
    error_message = "vpc_cidr must be an IPv4 range from /16 to /20, such as 10.0.0.0/16."
  }
}

variable "availability_zones" {
  description = "The three zones to use; null takes the region's first three. Name them where a zone lacks your broker type."
  type        = list(string)
  default     = null

  validation {
    condition     = var.availability_zones == null || length(distinct(coalesce(var.availability_zones, []))) == 3
    error_message = "availability_zones must name three different zones (or be null): with replication factor 3, one zone may fail only when each holds one copy."
  }
}

variable "single_nat_gateway" {
  description = "One NAT gateway for all zones (cheaper; the zone that holds it becomes a single point of failure for outgoing traffic) instead of one per zone."
  type        = bool
  default     = false
  nullable    = false
}

variable "use_vpc_endpoints" {
  description = "VPC endpoints (Lambda, STS, logs, Systems Manager ...) instead of NAT gateways. The bastion then has no internet: its container images must come from a private ECR registry of this region (docs/04_KAFKA_UI.md), and it gets no Kafka command line."
  type        = bool
  default     = false
  nullable    = false
}

variable "existing_network" {
  description = "Adopt a VPC instead of building one: its id, three private subnets in three zones, and (for a public bastion) a public subnet. It needs DNS hostnames, and a way out to Lambda and STS (NAT or endpoints)."
  type = object({
    vpc_id             = string
    private_subnet_ids = list(string)
    public_subnet_ids  = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.existing_network == null || try(length(distinct(var.existing_network.private_subnet_ids)) == 3, false)
    error_message = "existing_network.private_subnet_ids must name three different subnets, one in each of three zones."
  }
}

# ----------------------------------------------------------------------------
# Cluster
# ----------------------------------------------------------------------------

variable "existing_cluster" {
  description = "Adopt an MSK cluster instead of building one: its name and the security group of its brokers (rules for the functions are added to it). IAM authentication must be on, and its monitoring level PER_BROKER or finer, which no plan can check (docs/02_TERRAFORM_DEPLOY.md). Needs existing_network."
  type = object({
    name              = string
    security_group_id = string
  })
  default = null

  validation {
    condition     = var.existing_cluster == null || var.existing_network != null
    error_message = "existing_cluster needs existing_network: the functions must run in the VPC from which that cluster is reached."
  }
}

variable "kafka_version" {
  description = "Kafka version in MSK's spelling. Versions past their end of support are refused, and on Express brokers those that they do not offer; the dated tables are in locals.tf."
  type        = string
  default     = "3.9.x.kraft"
  nullable    = false

  validation {
    condition     = contains(keys(local.kafka_end_of_support), var.kafka_version)
    error_message = "kafka_version must be one of ${join(", ", keys(local.kafka_end_of_support))}. The safest is 3.9.x.kraft."
  }

  validation {
    condition     = !contains(keys(local.kafka_end_of_support), var.kafka_version) || timecmp(plantimestamp(), "${coalesce(try(local.kafka_end_of_support[var.kafka_version], null), "9999-12-31")}T00:00:00Z") < 0
    error_message = "This kafka_version is past its end of support (${coalesce(try(local.kafka_end_of_support[var.kafka_version], null), "-")}): MSK upgrades such clusters without asking. Use 3.9.x.kraft or newer."
  }

  validation {
    condition     = var.broker_type != "express" || contains(local.express_kafka_versions, var.kafka_version)
    error_message = "kafka_version: Express brokers offer ${join(", ", local.express_kafka_versions)} only. Use 3.9.x.kraft."
  }
}

variable "broker_type" {
  description = "standard (EBS volumes, every setting yours) or express (storage and replication managed by AWS, about twice the price, faster recovery)."
  type        = string
  default     = "standard"
  nullable    = false

  validation {
    condition     = contains(["standard", "express"], var.broker_type)
    error_message = "broker_type must be standard or express."
  }
}

variable "broker_instance_type" {
  description = "Broker size; null takes kafka.m7g.large or express.m7g.large."
  type        = string
  default     = null

  validation {
    condition     = var.broker_instance_type == null || can(regex("^(kafka\\.(t3\\.small|m5\\.(large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|24xlarge)|m7g\\.(large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge))|express\\.m7g\\.(large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge))$", var.broker_instance_type))
    error_message = "broker_instance_type must be one of MSK's: kafka.t3.small, kafka.m5.*, kafka.m7g.* or express.m7g.*, such as kafka.m7g.large."
  }

  validation {
    condition     = var.broker_instance_type == null || startswith(coalesce(var.broker_instance_type, "-"), var.broker_type == "express" ? "express." : "kafka.")
    error_message = "broker_instance_type and broker_type disagree: express takes express.m7g.*, standard takes kafka.* (kafka.t3.small has no Express form)."
  }
}

variable "broker_count" {
  description = "Brokers in all, a multiple of the three zones."
  type        = number
  default     = 3
  nullable    = false

  validation {
    # https://docs.aws.amazon.com/msk/latest/developerguide/limits.html: 60 brokers with KRaft, 30 with ZooKeeper.
    condition     = var.broker_count >= 3 && var.broker_count % 3 == 0 && var.broker_count <= (endswith(var.kafka_version, ".kraft") ? 60 : 30)
    error_message = "broker_count must be a multiple of 3 (the zones), at least 3 and at most 60 (30 with a version that is not .kraft)."
  }
}

variable "storage" {
  description = "Volume of each standard broker, in GiB. With autoscaling it grows by itself to max_size_gib; it never shrinks. provisioned_throughput is in MiB/s (null: the volume type's own). Express brokers ignore all of it."
  type = object({
    size_gib               = optional(number, 100)
    autoscaling            = optional(bool, true)
    max_size_gib           = optional(number, 1000)
    target_percent         = optional(number, 60)
    provisioned_throughput = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.storage.size_gib >= 1 && var.storage.size_gib <= 16384 && floor(var.storage.size_gib) == var.storage.size_gib
    error_message = "storage.size_gib must be a whole number from 1 to 16384, EBS's range."
  }

  validation {
    condition     = !var.storage.autoscaling || (var.storage.max_size_gib >= var.storage.size_gib && var.storage.max_size_gib <= 16384)
    error_message = "storage.max_size_gib must be at least storage.size_gib and at most 16384."
  }

  validation {
    condition     = !var.storage.autoscaling || var.broker_type == "express" || var.existing_cluster != null || !contains(local.regions_without_storage_autoscaling, var.region)
    error_message = "storage.autoscaling: AWS does not grow brokers' volumes by itself in ${var.region}. Set autoscaling = false in storage, choose size_gib with room, and grow volumes by hand when alarm data-disk-filling rings (docs/UPGRADE.md)."
  }

  validation {
    condition     = var.storage.target_percent >= 10 && var.storage.target_percent <= 80
    error_message = "storage.target_percent must be from 10 to 80; 50 to 60 leaves time for a volume to grow (one step in six hours)."
  }

  validation {
    # https://docs.aws.amazon.com/msk/latest/developerguide/msk-provision-throughput.html
    condition     = var.storage.provisioned_throughput == null || (coalesce(var.storage.provisioned_throughput, 0) >= 250 && can(regex("m5\\.(4|8|12|16|24)xlarge|m7g\\.(2|4|8|12|16)xlarge", coalesce(var.broker_instance_type, "-"))))
    error_message = "storage.provisioned_throughput needs at least 250 MiB/s and kafka.m5.4xlarge or kafka.m7g.2xlarge or larger."
  }
}

variable "client_authentication" {
  description = "What other clients may use besides IAM, which is always on: scram (with the ARNs of AmazonMSK_* secrets), or TLS client certificates from these private CAs."
  type = object({
    scram                      = optional(bool, false)
    scram_secret_arns          = optional(list(string), [])
    certificate_authority_arns = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for arn in var.client_authentication.scram_secret_arns : can(regex(":secret:AmazonMSK_", arn))])
    error_message = "client_authentication.scram_secret_arns: MSK takes only Secrets Manager secrets whose name starts with AmazonMSK_."
  }

  validation {
    condition     = length(var.client_authentication.scram_secret_arns) == 0 || var.client_authentication.scram
    error_message = "client_authentication.scram_secret_arns needs client_authentication.scram = true."
  }
}

variable "enhanced_monitoring" {
  description = "Level of MSK's CloudWatch metrics. PER_BROKER is the least that the alarms need (and is billed); finer levels cost more."
  type        = string
  default     = "PER_BROKER"
  nullable    = false

  validation {
    condition     = contains(["PER_BROKER", "PER_TOPIC_PER_BROKER", "PER_TOPIC_PER_PARTITION"], var.enhanced_monitoring)
    error_message = "enhanced_monitoring must be PER_BROKER, PER_TOPIC_PER_BROKER or PER_TOPIC_PER_PARTITION: with DEFAULT the alarms on connections, threads, network and volumes would have no data."
  }
}

# ----------------------------------------------------------------------------
# Configuration of Kafka
# ----------------------------------------------------------------------------

variable "replication_factor" {
  description = "Copies of every partition, of the offsets and of the transaction log. One copy in each of three zones is what survives the loss of a zone."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.replication_factor >= 3
    error_message = "replication_factor must be at least 3: with fewer copies, losing a zone loses data or stops writes."
  }

  validation {
    condition     = var.replication_factor <= var.broker_count
    error_message = "replication_factor must not exceed broker_count: each copy needs a broker of its own."
  }

  validation {
    condition     = var.broker_type != "express" || var.replication_factor == 3
    error_message = "replication_factor is fixed at 3 on Express brokers."
  }
}

variable "min_insync_replicas" {
  description = "Copies that must have a record before acks=all is answered: replication_factor - 1, so that one broker may be away and no acknowledged record has fewer than two copies."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.min_insync_replicas < var.replication_factor
    error_message = "min_insync_replicas must be below replication_factor: otherwise one broker's restart stops every write."
  }

  validation {
    condition     = var.min_insync_replicas >= var.replication_factor - 1
    error_message = "min_insync_replicas must be replication_factor - 1: fewer lets an acknowledged record live on too few brokers."
  }
}

variable "server_properties" {
  description = "More Kafka broker settings, such as { \"log.retention.ms\" = \"259200000\" }. The settings that high availability rests on are fixed and refused here; so is, on Express brokers, what AWS does not list for them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.server_properties), local.fixed_server_properties)) == 0
    error_message = "server_properties must not set ${join(", ", local.fixed_server_properties)}: they follow from replication_factor and min_insync_replicas, or keep acknowledged records safe."
  }

  validation {
    condition     = alltrue([for key, value in var.server_properties : can(regex("^[a-z0-9._]+$", key)) && !strcontains(value, "\n")])
    error_message = "server_properties: keys are Kafka's property names, values are one line each."
  }

  validation {
    condition     = var.broker_type != "express" || length(setsubtract(keys(var.server_properties), local.express_server_properties)) == 0
    error_message = "server_properties: Express brokers take ${join(", ", local.express_server_properties)} only, and retention in ms, not in hours."
  }
}

# ----------------------------------------------------------------------------
# Topics
# ----------------------------------------------------------------------------

variable "topics" {
  description = "Topics by name. produced: callers of the API may write it; consumed: the consumer gets it. dead_letter: a dead-letter topic stands beside it, also while nothing is consumed, so that it can be taken out of use; false leaves out what is not in use. config: Kafka topic settings. policy: the producer's rules for it: key (required or optional), max_record_bytes, formats; schema and compression are not supported yet."
  type = map(object({
    partitions  = optional(number, 6)
    produced    = optional(bool, true)
    consumed    = optional(bool, true)
    dead_letter = optional(bool, true)
    config      = optional(map(string), {})
    policy = optional(object({
      key              = optional(string)
      schema           = optional(string)
      max_record_bytes = optional(number)
      formats          = optional(list(string))
      compression      = optional(string)
    }), {})
  }))
  default  = { orders = {} }
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.topics) : can(regex("^[a-zA-Z0-9._-]{1,249}$", name)) && !contains([".", ".."], name)])
    error_message = "topics: a name is 1 to 249 of a-z, A-Z, 0-9, dot, underscore and hyphen, and not . or .. alone."
  }

  validation {
    # https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html: [^.]([a-zA-Z0-9\-_.]+)
    condition     = alltrue([for name, topic in var.topics : !topic.consumed || can(regex("^[^.].", name))])
    error_message = "topics: the name of a consumed topic has at least 2 characters and does not begin with a dot, or Lambda's event source mapping refuses it. Name it otherwise, or set consumed = false."
  }

  validation {
    condition     = alltrue([for topic in values(var.topics) : topic.partitions >= 1 && floor(topic.partitions) == topic.partitions])
    error_message = "topics: partitions must be a whole number from 1 up."
  }

  validation {
    condition     = anytrue([for topic in values(var.topics) : topic.produced])
    error_message = "topics: at least one must be produced, or the producer has nothing that it may write."
  }

  validation {
    condition     = alltrue([for topic in values(var.topics) : length(setintersection(keys(topic.config), ["min.insync.replicas", "unclean.leader.election.enable"])) == 0])
    error_message = "topics: config must not set min.insync.replicas or unclean.leader.election.enable: both follow from the cluster's settings."
  }

  validation {
    condition     = var.broker_type != "express" || alltrue([for topic in values(var.topics) : length(setsubtract(keys(topic.config), local.express_topic_settings)) == 0])
    error_message = "topics: on Express brokers config takes ${join(", ", local.express_topic_settings)} only."
  }

  # What the producer's own parser refuses, said before anything is deployed (functions/producer/src/topics.rs).
  validation {
    condition     = alltrue([for topic in values(var.topics) : topic.policy.schema == null && topic.policy.compression == null])
    error_message = "topics: policy.schema and policy.compression are not supported yet: remove them."
  }

  validation {
    condition = alltrue([for topic in values(var.topics) :
      contains(["required", "optional"], coalesce(topic.policy.key, "optional")) &&
      try(length(topic.policy.formats) > 0 && length(setsubtract(topic.policy.formats, ["json", "binary", "text", "cloudevents", "ndjson", "raw"])) == 0, topic.policy.formats == null) &&
      try(topic.policy.max_record_bytes >= 1 && topic.policy.max_record_bytes <= 6291456 && floor(topic.policy.max_record_bytes) == topic.policy.max_record_bytes, topic.policy.max_record_bytes == null)
    ])
    error_message = "topics: policy.key is required or optional; policy.formats lists some of json, binary, text, cloudevents, ndjson, raw; policy.max_record_bytes is a whole number from 1 to 6291456."
  }
}

variable "default_topic" {
  description = "Topic of POST /messages; null takes the first produced topic by name."
  type        = string
  default     = null

  validation {
    condition     = var.default_topic == null || try(var.topics[var.default_topic].produced, false)
    error_message = "default_topic must be one of the produced topics."
  }
}

# ----------------------------------------------------------------------------
# Monitoring
# ----------------------------------------------------------------------------

variable "metrics_backend" {
  description = "Who collects the brokers' Prometheus metrics: amp (Amazon Managed Service for Prometheus with its agentless scraper), bastion (Prometheus on the bastion) or none (CloudWatch only)."
  type        = string
  default     = "amp"
  nullable    = false

  validation {
    condition     = contains(["amp", "bastion", "none"], var.metrics_backend)
    error_message = "metrics_backend must be amp, bastion or none."
  }

  validation {
    condition     = var.metrics_backend == "none" || !contains(local.regions_without_prometheus, var.region)
    error_message = "metrics_backend: ${var.region} has no Amazon Managed Service for Prometheus, which amp and bastion write to. Set metrics_backend = \"none\": CloudWatch's alarms and dashboard need no Prometheus."
  }

  validation {
    condition     = var.metrics_backend != "bastion" || var.enable_bastion
    error_message = "metrics_backend = bastion needs enable_bastion = true."
  }
}

variable "enable_managed_grafana" {
  description = "An Amazon Managed Grafana workspace. Off by default: signing in needs IAM Identity Center or SAML, which this configuration cannot create."
  type        = bool
  default     = false
  nullable    = false
}

variable "scrape_interval_seconds" {
  description = "Seconds between two scrapes of a broker. Half of it doubles what the workspace bills for samples."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.scrape_interval_seconds >= 30 && var.scrape_interval_seconds <= 300
    error_message = "scrape_interval_seconds must be from 30 to 300: the scraper takes no less than 30, and the rules look back 5 minutes."
  }
}

variable "kraft_controller_endpoints" {
  description = "DNS names of the KRaft controllers, without port. They exist only once the cluster does, and only `aws kafka list-nodes` tells them (docs/03_MONITORING.md); without them the controller's panels and alerts stay empty, and CloudWatch's alarms watch the controller alone."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for host in var.kraft_controller_endpoints : can(regex("^[a-z0-9.-]+$", host))])
    error_message = "kraft_controller_endpoints: DNS names without scheme or port, such as c-10001.name.abc123.c2.kafka.us-east-1.amazonaws.com."
  }
}

variable "bastion_prometheus_image" {
  description = "Container image of Prometheus for metrics_backend = bastion; with use_vpc_endpoints, one in a private ECR registry of this region."
  type        = string
  default     = "quay.io/prometheus/prometheus:v3.5.0"
  nullable    = false

  validation {
    condition     = !local.has_endpoints || var.metrics_backend != "bastion" || try(regex(local.ecr_image, var.bastion_prometheus_image).region, "") == var.region
    error_message = "With use_vpc_endpoints = true the bastion has no internet and cannot pull bastion_prometheus_image: copy it into an ECR repository in ${var.region} and name that one (123456789012.dkr.ecr.${var.region}.amazonaws.com/prometheus:v3.5.0; docs/04_KAFKA_UI.md), or set metrics_backend = \"amp\" or use_vpc_endpoints = false."
  }
}

variable "grafana" {
  description = "The Grafana workspace. authentication_providers: AWS_SSO (IAM Identity Center) or SAML. Ids of Identity Center users and groups that may sign in. token_seconds: life of the token for the stack in grafana/."
  type = object({
    version                  = optional(string, "12.4")
    authentication_providers = optional(list(string), ["AWS_SSO"])
    admin_user_ids           = optional(list(string), [])
    admin_group_ids          = optional(list(string), [])
    viewer_user_ids          = optional(list(string), [])
    viewer_group_ids         = optional(list(string), [])
    token_seconds            = optional(number, 86400)
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["9.4", "10.4", "12.4"], var.grafana.version)
    error_message = "grafana.version must be 9.4, 10.4 or 12.4."
  }

  validation {
    condition     = length(var.grafana.authentication_providers) > 0 && alltrue([for provider in var.grafana.authentication_providers : contains(["AWS_SSO", "SAML"], provider)])
    error_message = "grafana.authentication_providers takes AWS_SSO and SAML, at least one of them."
  }

  validation {
    condition     = var.grafana.token_seconds >= 600 && var.grafana.token_seconds <= 2592000
    error_message = "grafana.token_seconds must be from 600 to 2592000 (30 days, the longest that Amazon Managed Grafana gives)."
  }
}

variable "alarm_emails" {
  description = "Addresses that get every alarm by mail; each must follow the link in its first mail."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", address))])
    error_message = "alarm_emails must be mail addresses."
  }
}

variable "paging_topic_arns" {
  description = "SNS topics that wake someone (those of an on-call tool). Alarms of severity page go there too."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    # CloudWatch takes five actions for each state, and one is the alarm topic itself.
    condition     = length(var.paging_topic_arns) <= 4 && alltrue([for arn in var.paging_topic_arns : can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", arn))])
    error_message = "paging_topic_arns must be at most four ARNs of SNS topics (arn:aws:sns:us-east-1:123456789012:name)."
  }
}

variable "runbook_url" {
  description = "Where docs/RUNBOOKS.md can be read; it stands in every alarm's description and every Prometheus alert, followed by # and the section."
  type        = string
  default     = "docs/RUNBOOKS.md"
  nullable    = false

  validation {
    condition     = length(var.runbook_url) > 0 && length(var.runbook_url) <= 300 && !strcontains(var.runbook_url, "#")
    error_message = "runbook_url must be 1 to 300 characters and without #: the section is appended."
  }
}

variable "consumer_lag_limits" {
  description = "How far consumers may be behind before an alarm: seconds to catch up, records on one partition, records in all. The Prometheus rules and the CloudWatch alarms use the same figures."
  type = object({
    time_lag_seconds     = optional(number, 300)
    partition_offset_lag = optional(number, 10000)
    total_offset_lag     = optional(number, 50000)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for limit in values(var.consumer_lag_limits) : limit > 0])
    error_message = "consumer_lag_limits must be above 0: with 0 every record in flight is an alarm."
  }
}

variable "alarm_limits" {
  description = "Limits of the other alarms that depend on the traffic: percentages, and the latency that 1 % of callers may exceed."
  type = object({
    cpu_percent        = optional(number, 60)
    disk_percent       = optional(number, 85)
    heap_percent       = optional(number, 60)
    api_5xx_percent    = optional(number, 1)
    api_4xx_percent    = optional(number, 25)
    api_p99_latency_ms = optional(number, 5000)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name, limit in var.alarm_limits : limit > 0 && (!endswith(name, "_percent") || limit < 100)])
    error_message = "alarm_limits must be above 0, and percentages below 100: at 100 the alarm could never go off."
  }
}
