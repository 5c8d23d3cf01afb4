# Inputs, in the order in which a message meets what they shape. Every one has a safe default;
# examples/dev.tfvars is the cheap set, examples/production.tfvars the strict one.

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
  description = "AWS region. Any region with three availability zones and MSK, in the commercial, China and GovCloud partitions."
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
  description = "VPC endpoints (Lambda, STS, logs, Systems Manager ...) instead of NAT gateways. The bastion then has no internet: its container images must come from an ECR registry of your own."
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
  description = "Adopt an MSK cluster instead of building one: its name and the security group of its brokers (rules for the functions are added to it). IAM authentication must be on. Needs existing_network."
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
  description = "Kafka version in MSK's spelling. Versions past their end of support are refused; the dated table is in locals.tf."
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
    error_message = "enhanced_monitoring must be PER_BROKER, PER_TOPIC_PER_BROKER or PER_TOPIC_PER_PARTITION: with DEFAULT most alarms would have no data."
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
  description = "More Kafka broker settings, such as { \"log.retention.hours\" = \"72\" }. The settings that high availability rests on are fixed and refused here."
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
}

# ----------------------------------------------------------------------------
# Topics
# ----------------------------------------------------------------------------

variable "topics" {
  description = "Topics by name. produced: callers of the API may write it; consumed: the consumer gets it, and a dead-letter topic is made beside it. config: Kafka topic settings. policy: the producer's rules for it (key, schema, max_record_bytes, formats, compression)."
  type = map(object({
    partitions = optional(number, 6)
    produced   = optional(bool, true)
    consumed   = optional(bool, true)
    config     = optional(map(string), {})
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
# Functions
# ----------------------------------------------------------------------------

variable "function_zip_directory" {
  description = "Where `cargo xtask package` put the zips: <directory>/<function>/bootstrap.zip."
  type        = string
  default     = "../target/lambda"
  nullable    = false
}

variable "function_architecture" {
  description = "arm64 (cheaper) or x86_64; the zips must be built for it."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.function_architecture)
    error_message = "function_architecture must be arm64 or x86_64."
  }
}

variable "log_level" {
  description = "Least severe log line that the functions write."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = contains(["trace", "debug", "info", "warn", "error"], var.log_level)
    error_message = "log_level must be trace, debug, info, warn or error."
  }
}

variable "kafka_options" {
  description = "librdkafka properties for both functions, beyond what they set themselves (KAFKA_OPTIONS)."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "producer" {
  description = "The producer function. reserved_concurrency null derives it from MSK's connection limits (locals.tf); -1 reserves none, for accounts whose own quota is below it. canary sends a share of the traffic to another version."
  type = object({
    memory_mb               = optional(number, 512)
    reserved_concurrency    = optional(number)
    provisioned_concurrency = optional(number, 0)
    status_mode             = optional(string, "strict")
    delivery_timeout_ms     = optional(number, 22000)
    max_request_bytes       = optional(number, 4194304)
    max_records             = optional(number, 500)
    max_record_bytes        = optional(number, 1000000)
    canary = optional(object({
      version = string
      weight  = number
    }))
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.producer.memory_mb >= 128 && var.producer.memory_mb <= 10240
    error_message = "producer.memory_mb must be from 128 to 10240."
  }

  validation {
    condition     = contains(["strict", "confluent"], var.producer.status_mode)
    error_message = "producer.status_mode must be strict or confluent."
  }

  validation {
    # The function answers 1.5 s before its invocation's end, and the gateway gives up after 30 s.
    condition     = var.producer.delivery_timeout_ms >= 1000 && var.producer.delivery_timeout_ms <= 22000
    error_message = "producer.delivery_timeout_ms must be from 1000 to 22000: the answer must come before the gateway's 30 s."
  }

  validation {
    condition     = var.producer.max_request_bytes <= 4500000
    error_message = "producer.max_request_bytes must be at most 4500000: Lambda takes 6 MB, and the gateway sends binary bodies as base64 (a third longer)."
  }

  validation {
    condition     = var.producer.reserved_concurrency == null || coalesce(var.producer.reserved_concurrency, 0) == -1 || (coalesce(var.producer.reserved_concurrency, 0) >= 1 && coalesce(var.producer.reserved_concurrency, 0) <= local.producer_concurrency_limit)
    error_message = "producer.reserved_concurrency must be from 1 to ${local.producer_concurrency_limit}, what this cluster's connection limits allow (or -1 for none)."
  }

  validation {
    condition     = var.producer.canary == null || try(var.producer.canary.weight > 0 && var.producer.canary.weight < 1, false)
    error_message = "producer.canary.weight must be between 0 and 1, such as 0.1."
  }
}

variable "consumer" {
  description = "The consumer function and its event source mapping, in one object so that the two cannot disagree. The last block needs esm_mode = provisioned."
  type = object({
    memory_mb            = optional(number, 512)
    timeout_seconds      = optional(number, 60)
    reserved_concurrency = optional(number)
    ordering             = optional(string, "partition")
    concurrency          = optional(number, 16)
    dead_letter_topic    = optional(string, "{topic}.dlq")
    consumer_group       = optional(string, "{name}-{topic}")
    batch_size           = optional(number, 100)
    batch_window_seconds = optional(number)
    starting_position    = optional(string, "TRIM_HORIZON")
    filters              = optional(list(string), [])
    enabled              = optional(bool, true)

    minimum_pollers      = optional(number)
    maximum_pollers      = optional(number)
    maximum_retries      = optional(number)
    maximum_age_seconds  = optional(number)
    bisect_on_error      = optional(bool)
    failure_destination  = optional(string)
    event_source_metrics = optional(list(string))
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.consumer.memory_mb >= 128 && var.consumer.memory_mb <= 10240
    error_message = "consumer.memory_mb must be from 128 to 10240."
  }

  validation {
    condition     = var.consumer.timeout_seconds >= 3 && var.consumer.timeout_seconds <= 840
    error_message = "consumer.timeout_seconds must be from 3 to 840: a Kafka event source mapping takes no function with a timeout above 14 minutes."
  }

  validation {
    condition     = var.consumer.reserved_concurrency == null || coalesce(var.consumer.reserved_concurrency, 0) == -1 || (coalesce(var.consumer.reserved_concurrency, 0) >= 1 && coalesce(var.consumer.reserved_concurrency, 0) <= local.consumer_concurrency_limit)
    error_message = "consumer.reserved_concurrency must be from 1 to ${local.consumer_concurrency_limit}, what this cluster's connection limits allow (or -1 for none)."
  }

  validation {
    condition     = contains(["partition", "key", "none"], var.consumer.ordering)
    error_message = "consumer.ordering must be partition, key or none."
  }

  validation {
    condition     = var.consumer.concurrency >= 1 && var.consumer.concurrency <= 1000
    error_message = "consumer.concurrency must be from 1 to 1000."
  }

  validation {
    condition     = var.consumer.dead_letter_topic == null || can(regex("^[a-zA-Z0-9._-]{1,249}$", replace(coalesce(var.consumer.dead_letter_topic, "x"), "{topic}", "t")))
    error_message = "consumer.dead_letter_topic must be a topic name, in which {topic} stands for the record's topic (such as {topic}.dlq), or null for none."
  }

  validation {
    condition     = var.consumer.dead_letter_topic == null || alltrue([for name, topic in var.topics : !topic.consumed || !try(var.topics[replace(coalesce(var.consumer.dead_letter_topic, "-"), "{topic}", name)].consumed, false)])
    error_message = "consumer.dead_letter_topic must not be a consumed topic: a record that fails would come back for ever (destination = source)."
  }

  validation {
    condition     = can(regex("^[a-zA-Z0-9._-]+$", replace(replace(var.consumer.consumer_group, "{topic}", "t"), "{name}", "n")))
    error_message = "consumer.consumer_group may hold letters, digits, dot, underscore, hyphen, {name} and {topic}: lag metrics vanish for names with other characters."
  }

  validation {
    condition     = strcontains(var.consumer.consumer_group, "{topic}") || length([for topic in values(var.topics) : topic if topic.consumed]) <= 1
    error_message = "consumer.consumer_group must contain {topic} when several topics are consumed: each event source mapping needs a group of its own."
  }

  validation {
    condition     = var.consumer.batch_size >= 1 && var.consumer.batch_size <= 10000
    error_message = "consumer.batch_size must be from 1 to 10000."
  }

  validation {
    condition     = var.consumer.batch_window_seconds == null || try(var.consumer.batch_window_seconds >= 0 && var.consumer.batch_window_seconds <= 300, false)
    error_message = "consumer.batch_window_seconds must be from 0 to 300, or null for Lambda's 500 ms."
  }

  validation {
    condition     = contains(["TRIM_HORIZON", "LATEST"], var.consumer.starting_position)
    error_message = "consumer.starting_position must be TRIM_HORIZON or LATEST (LATEST misses what is written while the mapping is being created)."
  }

  validation {
    condition     = length(var.consumer.filters) <= 5 && alltrue([for pattern in var.consumer.filters : can(jsondecode(pattern)) && length(pattern) <= 4096])
    error_message = "consumer.filters: at most 5 JSON patterns of at most 4096 characters each."
  }

  validation {
    condition = var.esm_mode == "provisioned" || alltrue([
      for value in [var.consumer.minimum_pollers, var.consumer.maximum_pollers, var.consumer.maximum_retries, var.consumer.maximum_age_seconds, var.consumer.bisect_on_error, var.consumer.failure_destination, var.consumer.event_source_metrics] : value == null
    ])
    error_message = "consumer: minimum_pollers, maximum_pollers, maximum_retries, maximum_age_seconds, bisect_on_error, failure_destination and event_source_metrics need esm_mode = \"provisioned\"."
  }

  validation {
    condition     = try(coalesce(var.consumer.minimum_pollers, 1) >= 1 && coalesce(var.consumer.minimum_pollers, 1) <= 200 && coalesce(var.consumer.maximum_pollers, 2000) <= 2000 && coalesce(var.consumer.minimum_pollers, 1) <= coalesce(var.consumer.maximum_pollers, 2000), false)
    error_message = "consumer.minimum_pollers must be from 1 to 200, and not above maximum_pollers (at most 2000)."
  }

  validation {
    condition     = var.consumer.maximum_retries == null || try(var.consumer.maximum_retries >= 0 && var.consumer.maximum_retries <= 10000, false)
    error_message = "consumer.maximum_retries must be from 0 to 10000: retrying for ever lets one bad record stop its partition."
  }

  validation {
    condition     = var.consumer.maximum_age_seconds == null || try(var.consumer.maximum_age_seconds >= 60 && var.consumer.maximum_age_seconds <= 604800, false)
    error_message = "consumer.maximum_age_seconds must be from 60 to 604800 (7 days)."
  }

  validation {
    condition     = var.consumer.failure_destination == null || contains(["dead_letter_topic", "none"], coalesce(var.consumer.failure_destination, "-")) || can(regex("^arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{12}:[a-zA-Z0-9_-]+$", var.consumer.failure_destination))
    error_message = "consumer.failure_destination must be dead_letter_topic, none, or the ARN of a standard SQS queue."
  }

  validation {
    condition     = coalesce(var.consumer.failure_destination, "-") != "dead_letter_topic" || var.consumer.dead_letter_topic != null
    error_message = "consumer.failure_destination = dead_letter_topic needs consumer.dead_letter_topic."
  }

  validation {
    condition     = alltrue([for metric in coalesce(var.consumer.event_source_metrics, []) : contains(["EventCount", "ErrorCount", "KafkaMetrics"], metric)])
    error_message = "consumer.event_source_metrics takes EventCount, ErrorCount and KafkaMetrics."
  }
}

variable "esm_mode" {
  description = "Event source mapping: on_demand (no fixed cost; whole batches are retried, bad records go to the function's own dead letter) or provisioned (pollers of its own, partial batch responses, finite retries, failure destination, metrics)."
  type        = string
  default     = "on_demand"
  nullable    = false

  validation {
    condition     = contains(["on_demand", "provisioned"], var.esm_mode)
    error_message = "esm_mode must be on_demand or provisioned."
  }
}

# ----------------------------------------------------------------------------
# API
# ----------------------------------------------------------------------------

variable "api" {
  description = "The HTTP API. authorization: AWS_IAM (SigV4), JWT (with jwt) or NONE (also needs allow_unauthenticated_api). Throttling is per second over all callers. cors null: off. domain: a custom name with its ACM certificate."
  type = object({
    authorization          = optional(string, "AWS_IAM")
    throttling_rate_limit  = optional(number, 500)
    throttling_burst_limit = optional(number, 1000)
    jwt = optional(object({
      issuer   = string
      audience = list(string)
      scopes   = optional(list(string), [])
    }))
    cors = optional(object({
      allow_origins = list(string)
      allow_headers = optional(list(string), ["authorization", "content-type", "idempotency-key"])
      max_age       = optional(number, 600)
    }))
    domain = optional(object({
      name            = string
      certificate_arn = string
      hosted_zone_id  = optional(string)
    }))
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["AWS_IAM", "JWT", "NONE"], var.api.authorization)
    error_message = "api.authorization must be AWS_IAM, JWT or NONE."
  }

  validation {
    condition     = var.api.authorization != "NONE" || var.allow_unauthenticated_api
    error_message = "api.authorization = NONE lets anyone on the internet write to your topics; if that is what you want, set allow_unauthenticated_api = true as well."
  }

  validation {
    condition     = (var.api.authorization == "JWT") == (var.api.jwt != null)
    error_message = "api.jwt (issuer and audience) must be given with api.authorization = JWT, and only then."
  }

  validation {
    condition     = var.api.jwt == null || try(startswith(var.api.jwt.issuer, "https://") && length(var.api.jwt.audience) > 0, false)
    error_message = "api.jwt.issuer must be an https URL, and api.jwt.audience must name at least one audience."
  }

  validation {
    condition     = var.api.throttling_rate_limit > 0 && var.api.throttling_burst_limit > 0
    error_message = "api.throttling_rate_limit and api.throttling_burst_limit must be above 0: 0 refuses every request."
  }

  validation {
    condition     = var.api.cors == null || try(length(var.api.cors.allow_origins) > 0, false)
    error_message = "api.cors.allow_origins must name the sites whose pages may call the API."
  }
}

variable "allow_unauthenticated_api" {
  description = "Second key for api.authorization = NONE."
  type        = bool
  default     = false
  nullable    = false
}

# ----------------------------------------------------------------------------
# Bastion
# ----------------------------------------------------------------------------

variable "enable_bastion" {
  description = "A host in the VPC with the Kafka command line and Kafka-UI, reached through Session Manager."
  type        = bool
  default     = true
  nullable    = false
}

variable "bastion" {
  description = "The bastion's size and its software. kafka_ui_image_digest pins the image to exact bytes (recommended; docs/04_KAFKA_UI.md shows how to look it up). key_name is only for a public bastion."
  type = object({
    instance_type         = optional(string, "t4g.small")
    volume_gib            = optional(number, 30)
    kafka_ui_image        = optional(string, "ghcr.io/kafbat/kafka-ui:v1.5.0")
    kafka_ui_image_digest = optional(string)
    kafka_ui_read_only    = optional(bool, false)
    key_name              = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.bastion.kafka_ui_image_digest == null || can(regex("^sha256:[0-9a-f]{64}$", var.bastion.kafka_ui_image_digest))
    error_message = "bastion.kafka_ui_image_digest must be sha256: and 64 hexadecimal digits."
  }

  validation {
    condition     = var.bastion.key_name == null || var.bastion_public
    error_message = "bastion.key_name needs bastion_public = true: a private bastion is reached through Session Manager, without keys."
  }

  validation {
    condition     = var.bastion.volume_gib >= 8 && var.bastion.volume_gib <= 1024
    error_message = "bastion.volume_gib must be from 8 to 1024."
  }
}

variable "bastion_public" {
  description = "Give the bastion a public address and open SSH to allowed_cidrs. Session Manager needs neither."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.bastion_public || length(var.allowed_cidrs) > 0
    error_message = "bastion_public = true needs allowed_cidrs, such as [\"203.0.113.7/32\"]."
  }

  validation {
    condition     = !var.bastion_public || var.existing_network == null || try(length(var.existing_network.public_subnet_ids) > 0, false)
    error_message = "bastion_public = true in an existing network needs existing_network.public_subnet_ids."
  }
}

variable "allowed_cidrs" {
  description = "IPv4 ranges that may open SSH to a public bastion; your own address with /32."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.allowed_cidrs : can(cidrnetmask(cidr)) && tonumber(split("/", cidr)[1]) >= 16])
    error_message = "allowed_cidrs must be IPv4 ranges of /16 or narrower, such as 203.0.113.7/32; never 0.0.0.0/0."
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
