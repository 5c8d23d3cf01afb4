# Inputs of the functions, the event source mapping, the API and the bastion; the others are in variables.tf.

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
  description = "Least severe log line that the functions write: trace, debug or info. Lambda's filter counts the metric lines as info, so a higher level would silence the metrics."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    condition     = contains(["trace", "debug", "info"], var.log_level)
    error_message = "log_level must be trace, debug or info: at warn and above Lambda would drop the functions' metric lines too."
  }
}

variable "kafka_options" {
  description = "librdkafka properties for both functions, beyond what they set themselves (KAFKA_OPTIONS)."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "producer" {
  description = "The producer function. reserved_concurrency null derives it from MSK's connection limits (locals.tf); -1 reserves none, for accounts whose own quota is below it. canary sends that share of the traffic (weight) to another published version, for instance 0.9 to the one before."
  type = object({
    memory_mb               = optional(number, 512)
    reserved_concurrency    = optional(number)
    provisioned_concurrency = optional(number, 0)
    compatibility           = optional(string, "strict")
    status_mode             = optional(string)
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
    condition     = contains(["strict", "confluent"], var.producer.compatibility)
    error_message = "producer.compatibility must be strict or confluent."
  }

  validation {
    # The old name of compatibility. An attribute that the type did not know would be dropped without a word.
    condition     = var.producer.status_mode == null
    error_message = "producer.status_mode is now called producer.compatibility: set that one instead; the values are the same."
  }

  validation {
    # The function answers 1.5 s before its invocation's end, and the gateway gives up after 30 s.
    condition     = var.producer.delivery_timeout_ms >= 1000 && var.producer.delivery_timeout_ms <= 22000
    error_message = "producer.delivery_timeout_ms must be from 1000 to 22000: the answer must come before the gateway's 30 s."
  }

  validation {
    condition     = var.producer.max_request_bytes >= 1024 && var.producer.max_request_bytes <= 4500000 && floor(var.producer.max_request_bytes) == var.producer.max_request_bytes
    error_message = "producer.max_request_bytes must be a whole number from 1024 to 4500000: Lambda takes 6 MB, and the gateway sends binary bodies as base64 (a third longer)."
  }

  validation {
    condition     = var.producer.max_records >= 1 && var.producer.max_records <= 10000 && floor(var.producer.max_records) == var.producer.max_records
    error_message = "producer.max_records must be a whole number from 1 to 10000."
  }

  validation {
    condition     = var.producer.max_record_bytes >= 1 && var.producer.max_record_bytes <= 6291456 && floor(var.producer.max_record_bytes) == var.producer.max_record_bytes
    error_message = "producer.max_record_bytes must be a whole number from 1 to 6291456 (6 MiB)."
  }

  validation {
    condition     = var.producer.provisioned_concurrency >= 0 && floor(var.producer.provisioned_concurrency) == var.producer.provisioned_concurrency
    error_message = "producer.provisioned_concurrency must be 0 (none) or a whole number."
  }

  # Lambda refuses to keep warm more than a function may run.
  validation {
    condition     = coalesce(var.producer.reserved_concurrency, local.producer_concurrency_limit) == -1 || var.producer.provisioned_concurrency <= coalesce(var.producer.reserved_concurrency, local.producer_concurrency_limit)
    error_message = "producer.provisioned_concurrency must not exceed producer.reserved_concurrency (null: ${local.producer_concurrency_limit}, what this cluster's connection limits allow)."
  }

  validation {
    condition     = var.producer.reserved_concurrency == null || coalesce(var.producer.reserved_concurrency, 0) == -1 || (coalesce(var.producer.reserved_concurrency, 0) >= 1 && coalesce(var.producer.reserved_concurrency, 0) <= local.producer_concurrency_limit)
    error_message = "producer.reserved_concurrency must be from 1 to ${local.producer_concurrency_limit}, what this cluster's connection limits allow (or -1 for none)."
  }

  validation {
    condition     = var.producer.canary == null || try(var.producer.canary.weight > 0 && var.producer.canary.weight < 1, false)
    error_message = "producer.canary.weight must be between 0 and 1, such as 0.1."
  }

  validation {
    # "Alias with weights can not be used with Provisioned Concurrency": https://github.com/hashicorp/terraform/issues/24957
    condition     = var.producer.canary == null || var.producer.provisioned_concurrency == 0
    error_message = "producer.canary and producer.provisioned_concurrency exclude each other: Lambda refuses provisioned concurrency on an alias that sends its traffic to two versions. Set provisioned_concurrency = 0 while the canary runs."
  }
}

variable "consumer" {
  description = "The consumer function and its event source mapping, in one object so that the two cannot disagree. An empty dead_letter_topic means that none is used: a bad record is then retried until the mapping gives up; the topics stay (topics' dead_letter says whether they exist). The last block needs esm_mode = provisioned. failure_destination: dead_letter_topic, none, or the ARN of an SQS queue, an SNS topic or an S3 bucket, with failure_destination_kms_key_arn where it is encrypted with a key of yours; its VPC endpoint is made here, in existing_network it is yours to make."
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

    minimum_pollers                 = optional(number)
    maximum_pollers                 = optional(number)
    maximum_retries                 = optional(number)
    maximum_age_seconds             = optional(number)
    bisect_on_error                 = optional(bool)
    failure_destination             = optional(string)
    failure_destination_kms_key_arn = optional(string)
    event_source_metrics            = optional(list(string))
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
    condition     = var.consumer.concurrency >= 1 && var.consumer.concurrency <= 1000 && floor(var.consumer.concurrency) == var.consumer.concurrency
    error_message = "consumer.concurrency must be a whole number from 1 to 1000."
  }

  validation {
    condition     = var.consumer.dead_letter_topic == "" || can(regex("^[a-zA-Z0-9._-]{1,249}$", replace(var.consumer.dead_letter_topic, "{topic}", "t")))
    error_message = "consumer.dead_letter_topic must be a topic name, in which {topic} stands for the record's topic (such as {topic}.dlq), or empty for none."
  }

  validation {
    condition     = alltrue([for name, topic in var.topics : !(topic.consumed || topic.dead_letter) || length(replace(var.consumer.dead_letter_topic == "" ? "{topic}.dlq" : var.consumer.dead_letter_topic, "{topic}", name)) <= 249])
    error_message = "consumer.dead_letter_topic: with the topic's name in it a dead-letter topic would have more than Kafka's 249 characters. Shorten the topic's name or dead_letter_topic; a topic that is not consumed can do without (dead_letter = false)."
  }

  validation {
    condition     = alltrue([for name, topic in var.topics : !topic.consumed || !try(var.topics[replace(var.consumer.dead_letter_topic, "{topic}", name)].consumed, false)])
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
    # https://docs.aws.amazon.com/lambda/latest/api/API_AmazonManagedKafkaEventSourceConfig.html
    condition     = alltrue([for name in keys(local.consumed_topics) : length(replace(replace(var.consumer.consumer_group, "{topic}", name), "{name}", var.name)) <= 200])
    error_message = "consumer.consumer_group: Lambda takes consumer groups of at most 200 characters, and with var.name and the topic in it one is longer: shorten consumer_group, the topic's name or var.name."
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
    condition     = var.consumer.failure_destination == null || contains(["dead_letter_topic", "none"], coalesce(var.consumer.failure_destination, "-")) || can(regex("^arn:aws[a-z-]*:(s(qs|ns):[a-z0-9-]+:[0-9]{12}:[a-zA-Z0-9_-]+|s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])$", var.consumer.failure_destination))
    error_message = "consumer.failure_destination must be dead_letter_topic, none, or the ARN of a standard SQS queue, a standard SNS topic or an S3 bucket (which alone keeps the records themselves)."
  }

  validation {
    # The endpoint that is made for it serves its own region.
    condition     = var.existing_network != null || !can(regex("^arn:[^:]+:s(qs|ns):", var.consumer.failure_destination)) || try(split(":", var.consumer.failure_destination)[3], "") == var.region
    error_message = "consumer.failure_destination must be in ${var.region}: Lambda reaches it through a VPC endpoint, which serves its own region."
  }

  validation {
    condition     = var.consumer.failure_destination_kms_key_arn == null || (startswith(coalesce(var.consumer.failure_destination, "-"), "arn:") && can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", var.consumer.failure_destination_kms_key_arn)))
    error_message = "consumer.failure_destination_kms_key_arn must be the ARN of the KMS key (arn:aws:kms:...:key/...) of a failure_destination that is an SQS queue, an SNS topic or an S3 bucket; leave it out where the destination has no key of your own."
  }

  validation {
    condition     = coalesce(var.consumer.failure_destination, "-") != "dead_letter_topic" || var.consumer.dead_letter_topic != ""
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
  description = "The bastion's size (2 GiB of memory at least) and its software. Kafka-UI changes nothing unless kafka_ui_read_only = false. kafka_ui_image: with use_vpc_endpoints, one in a private ECR registry of this region. kafka_ui_image_digest pins the image to exact bytes (recommended; docs/04_KAFKA_UI.md shows how to look it up). key_name is only for a public bastion."
  type = object({
    instance_type         = optional(string, "t4g.small")
    volume_gib            = optional(number, 30)
    kafka_ui_image        = optional(string, "ghcr.io/kafbat/kafka-ui:v1.5.0")
    kafka_ui_image_digest = optional(string)
    kafka_ui_read_only    = optional(bool, true)
    key_name              = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    # Kafka-UI may take 768 MiB, Prometheus on the bastion 512, the Kafka command line 256, beside Docker and the system.
    condition     = !can(regex("\\.(nano|micro)$", var.bastion.instance_type))
    error_message = "bastion.instance_type must have 2 GiB of memory or more, such as t4g.small: with less, Kafka-UI and the Kafka command line end for want of memory."
  }

  validation {
    condition     = var.bastion.kafka_ui_image_digest == null || can(regex("^sha256:[0-9a-f]{64}$", var.bastion.kafka_ui_image_digest))
    error_message = "bastion.kafka_ui_image_digest must be sha256: and 64 hexadecimal digits."
  }

  # An endpoint serves its own region.
  validation {
    condition     = !local.has_endpoints || !var.enable_bastion || try(regex(local.ecr_image, var.bastion.kafka_ui_image).region, "") == var.region
    error_message = "With use_vpc_endpoints = true the bastion has no internet and cannot pull bastion.kafka_ui_image: copy it into an ECR repository in ${var.region} and name that one (123456789012.dkr.ecr.${var.region}.amazonaws.com/kafka-ui:v1.5.0; docs/04_KAFKA_UI.md), or set enable_bastion = false or use_vpc_endpoints = false."
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
