# Inputs of the cluster, Kafka's configuration and the topics.

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
    condition     = var.broker_instance_type == null || can(regex("^(kafka\\.(t3\\.small|m5\\.(large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge|24xlarge)|m[78]g\\.(large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge))|express\\.m7g\\.(large|xlarge|2xlarge|4xlarge|8xlarge|12xlarge|16xlarge))$", var.broker_instance_type))
    error_message = "broker_instance_type must be one of MSK's: kafka.t3.small, kafka.m5.*, kafka.m7g.*, kafka.m8g.* or express.m7g.*, such as kafka.m7g.large."
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
    condition     = var.storage.provisioned_throughput == null || (coalesce(var.storage.provisioned_throughput, 0) >= 250 && can(regex("m5\\.(4|8|12|16|24)xlarge|m[78]g\\.(2|4|8|12|16)xlarge", coalesce(var.broker_instance_type, "-"))))
    error_message = "storage.provisioned_throughput needs at least 250 MiB/s and kafka.m5.4xlarge, kafka.m7g.2xlarge, kafka.m8g.2xlarge or larger."
  }
}

variable "client_authentication" {
  description = "What other clients may use besides IAM, which is always on: scram (with the ARNs of AmazonMSK_* secrets), or TLS client certificates from these private CAs. Either sets allow.everyone.if.no.acl.found = false: these clients may do what ACLs allow, and nothing without one, so make the ACLs first (docs/UPGRADE.md). With existing_cluster that setting is yours."
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
    condition     = !local.acls_decide || lower(trimspace(lookup(var.server_properties, "allow.everyone.if.no.acl.found", "false"))) == "false"
    error_message = "server_properties must not set allow.everyone.if.no.acl.found with SCRAM or TLS clients: each of them could then read, write and delete every topic. Remove it, and give every client its ACLs first (docs/UPGRADE.md, \"Clients without IAM\")."
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
  description = "Topics by name. produced: callers of the API may write it; consumed: the consumer gets it. dead_letter: a dead-letter topic stands beside it, also while nothing is consumed, so that it can be taken out of use; false leaves out what is not in use. config: Kafka topic settings; a dead-letter topic takes what its topic's max.message.bytes needs, and a compacted topic (cleanup.policy) makes policy.key = required. With existing_cluster, say max.message.bytes and cleanup.policy here where that cluster's own defaults differ from Kafka's. policy: the producer's rules for it: key (required or optional), max_record_bytes, formats; principals, the callers that may write it (null: all that may call the API), and stamp_principal, whether records tell their caller; schema, the JSON Schema that values must satisfy (a file of schemas_directory, without .json; needs the zip of `cargo xtask package --features schemas`). compression is not supported yet."
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
      principals       = optional(list(string))
      stamp_principal  = optional(bool)
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

  validation {
    # As local.compacted_topics, which depends on this variable.
    condition = alltrue([for topic in values(var.topics) : !topic.produced || coalesce(topic.policy.key, "required") == "required" ||
      !contains([for word in split(",", lookup(topic.config, "cleanup.policy", lookup(var.server_properties, "log.cleanup.policy", "delete"))) : lower(trimspace(word))], "compact")
    ])
    error_message = "topics: policy.key = optional contradicts cleanup.policy = compact (the topic's, or log.cleanup.policy in server_properties): Kafka refuses records without a key there. Remove policy.key, or set cleanup.policy = delete."
  }

  validation {
    condition     = alltrue([for topic in values(var.topics) : can(regex("^[1-9][0-9]{0,8}$", lookup(topic.config, "max.message.bytes", "1")))])
    error_message = "topics: max.message.bytes in config must be a whole number of bytes from 1 to 999999999."
  }

  # What the producer's own parser refuses, said before anything is deployed (functions/producer/src/topics.rs).
  validation {
    condition     = alltrue([for topic in values(var.topics) : topic.policy.compression == null])
    error_message = "topics: policy.compression is not supported yet: remove it."
  }

  validation {
    # As functions/producer/src/schema/mod.rs.
    condition     = alltrue([for topic in values(var.topics) : topic.policy.schema == null || can(regex("^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$", topic.policy.schema))])
    error_message = "topics: policy.schema is the name of a file in schemas_directory without .json: 1 to 100 of a-z, A-Z, 0-9, dot, underscore and hyphen, not beginning with a dot."
  }

  validation {
    condition = alltrue([for topic in values(var.topics) :
      contains(["required", "optional"], coalesce(topic.policy.key, "optional")) &&
      try(length(topic.policy.formats) > 0 && length(setsubtract(topic.policy.formats, ["json", "binary", "text", "string", "cloudevents", "ndjson", "raw"])) == 0, topic.policy.formats == null) &&
      try(topic.policy.max_record_bytes >= 1 && topic.policy.max_record_bytes <= 6291456 && floor(topic.policy.max_record_bytes) == topic.policy.max_record_bytes, topic.policy.max_record_bytes == null)
    ])
    error_message = "topics: policy.key is required or optional; policy.formats lists some of json, binary, text, cloudevents, ndjson, raw; policy.max_record_bytes is a whole number from 1 to 6291456."
  }

  # What the producer's own parser refuses, too (functions/producer/src/principal_pattern.rs): an entry that no caller can match.
  validation {
    condition = alltrue(flatten([for topic in values(var.topics) : [for principal in coalesce(topic.policy.principals, []) : anytrue([
      can(regex("^arn:aws[a-z0-9-]*:iam::[0-9]{12}:(root|role/([!-)+-~]*/)?[A-Za-z0-9_+=,.@-]{1,64}|user/([!-)+-~]*/)?[A-Za-z0-9_+=,.@-]{1,64})$", principal)),
      can(regex("^arn:aws[a-z0-9-]*:iam::[0-9]{12}:(role/[A-Za-z0-9_+=,.@-]{0,64}|user/[!-)+-~]*)?\\*$", principal)),
      can(regex("^arn:aws[a-z0-9-]*:sts::[0-9]{12}:federated-user/([A-Za-z0-9_+=,.@-]{1,32}|[A-Za-z0-9_+=,.@-]{0,32}\\*)$", principal)),
      can(regex("^(sub|client_id):[^\\s*[:cntrl:]]([^*[:cntrl:]]*[^\\s*[:cntrl:]])?$", principal)),
      can(regex("^scope:[^\\s*[:cntrl:]]+$", principal)),
    ])]]))
    error_message = "topics: policy.principals takes arn:aws:iam::<account>:role/<name>, user/<name> or root, arn:aws:sts::<account>:federated-user/<name>, and sub:, scope: or client_id: with a token's value. Only an ARN may end with *, after the account; a role with a path only without *. A session counts as its role: write role/<name>."
  }

  validation {
    condition     = alltrue([for topic in values(var.topics) : topic.policy.principals == null || try(length(topic.policy.principals) > 0, false)])
    error_message = "topics: policy.principals names at least one caller. Leave it out for a topic that all callers may write, or set produced = false for one that nobody may."
  }

  validation {
    condition     = alltrue([for topic in values(var.topics) : topic.policy.principals == null || !topic.produced || var.api.authorization != "NONE"])
    error_message = "topics: with api.authorization = NONE no caller is known, and nobody could write a topic with policy.principals: leave them out, or set api.authorization."
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
