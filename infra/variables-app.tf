# Inputs of the functions, the API and the bastion; those of consumers are in variables-consumers.tf, the others in variables.tf.

# ----------------------------------------------------------------------------
# Functions
# ----------------------------------------------------------------------------

variable "function_zip_directory" {
  description = "Where `cargo xtask package` put the zips: <directory>/<function>/bootstrap.zip."
  type        = string
  default     = "../target/lambda"
  nullable    = false
}

variable "schemas_directory" {
  description = "Where the JSON Schemas are that topics' policy.schema names: <directory>/<schema>.json. They go into a layer of the producer."
  type        = string
  default     = "../events/schemas"
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
  description = "librdkafka properties for all functions, beyond what they set themselves (KAFKA_OPTIONS)."
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

# ----------------------------------------------------------------------------
# API
# ----------------------------------------------------------------------------

variable "api" {
  description = "The HTTP API. authorization: AWS_IAM (SigV4), JWT (with jwt) or NONE (also needs allow_unauthenticated_api). Throttling is per second over all callers. cors null: off. docs_page: GET /docs shows the API as a page, behind the same authorization; needs the zip of `cargo xtask package --features docs-page`. domain: a custom name with its ACM certificate."
  type = object({
    authorization          = optional(string, "AWS_IAM")
    throttling_rate_limit  = optional(number, 500)
    throttling_burst_limit = optional(number, 1000)
    docs_page              = optional(bool, false)
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

variable "publishers" {
  description = "Roles that callers of other accounts assume to publish, by name. topics: what each may write, over routes that name the topic (not POST /messages); a topic with policy.principals gets the role among them. trusted: ARNs of their roles, users or account roots. external_id: what they must say when they assume it. Needs api.authorization = AWS_IAM."
  type = map(object({
    topics      = list(string)
    trusted     = list(string)
    external_id = optional(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.publishers) : can(regex("^[a-z0-9-]{1,20}$", name))])
    error_message = "publishers: a name is 1 to 20 of a-z, 0-9 and hyphen; it becomes part of the role's name."
  }

  validation {
    condition     = alltrue([for publisher in values(var.publishers) : length(publisher.topics) > 0 && alltrue([for topic in publisher.topics : try(var.topics[topic].produced, false)])])
    error_message = "publishers: topics names at least one of the produced topics."
  }

  validation {
    condition     = alltrue([for publisher in values(var.publishers) : length(publisher.trusted) > 0 && alltrue([for arn in publisher.trusted : can(regex("^arn:aws[a-z0-9-]*:iam::[0-9]{12}:(root|(role|user)/[A-Za-z0-9_+=,.@/-]+)$", arn))])])
    error_message = "publishers: trusted lists ARNs arn:aws:iam::<account>:role/<name>, user/<name> or root, without *: anybody who may assume the role may publish."
  }

  validation {
    condition     = length(var.publishers) == 0 || var.api.authorization == "AWS_IAM"
    error_message = "publishers: a role helps only callers who sign; set api.authorization = AWS_IAM."
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
