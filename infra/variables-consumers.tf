# Inputs of the consumers and their event source mappings. What follows from them is in consumers.tf.

# ----------------------------------------------------------------------------
# Consumers
# ----------------------------------------------------------------------------

variable "consumers" {
  description = "Consumers by name: each is a function with a role, a security group, a log group and one event source mapping for each of its topics (null: every consumed topic). zip null: function_zip_directory/NAME/bootstrap.zip. {name}, {topic} and {consumer} stand for var.name, the topic and the consumer in consumer_group and dead_letter_topic; consumers that share a topic each need both of their own. An empty dead_letter_topic means that none is used: a bad record is then retried until the mapping gives up; the topics stay (topics' dead_letter says whether they exist). reserved_concurrency null shares what MSK's connection limits allow; -1 reserves none. canary sends that share of the batches (weight) to another published version. publishes names the topics that the handler writes to Kafka itself. egress (ports by a label, to CIDRs, security groups or prefix lists), policy_statements, policy_arns (known before the apply), environment (APP_*) and layers are what the handler may use besides Kafka. The last block needs esm_mode = provisioned. failure_destination: dead_letter_topic, none, or the ARN of an SQS queue, an SNS topic or an S3 bucket, with failure_destination_kms_key_arn where it is encrypted with a key of yours; its VPC endpoint is made here, in existing_network it is yours to make."
  type = map(object({
    topics               = optional(list(string))
    zip                  = optional(string)
    memory_mb            = optional(number, 512)
    timeout_seconds      = optional(number, 60)
    reserved_concurrency = optional(number)
    ordering             = optional(string, "partition")
    concurrency          = optional(number, 16)
    dead_letter_topic    = optional(string, "{topic}.dlq")
    publishes            = optional(list(string), [])
    consumer_group       = optional(string, "{name}-{topic}")
    batch_size           = optional(number, 100)
    batch_window_seconds = optional(number)
    starting_position    = optional(string, "TRIM_HORIZON")
    filters              = optional(list(string), [])
    enabled              = optional(bool, true)
    canary = optional(object({
      version = string
      weight  = number
    }))

    egress = optional(map(object({
      port               = number
      cidrs              = optional(list(string), [])
      security_group_ids = optional(list(string), [])
      prefix_list_ids    = optional(list(string), [])
    })), {})
    policy_statements = optional(list(object({
      actions    = list(string)
      resources  = list(string)
      conditions = optional(map(map(list(string))), {})
    })), [])
    policy_arns = optional(list(string), [])
    environment = optional(map(string), {})
    layers      = optional(list(string), [])

    minimum_pollers                 = optional(number)
    maximum_pollers                 = optional(number)
    maximum_retries                 = optional(number)
    maximum_age_seconds             = optional(number)
    bisect_on_error                 = optional(bool)
    failure_destination             = optional(string)
    failure_destination_kms_key_arn = optional(string)
    event_source_metrics            = optional(list(string))
  }))
  default  = { consumer = {} }
  nullable = false

  # --- Names -------------------------------------------------------------------------------------------------------

  validation {
    # With var.name (32 characters) the name of a role, which has 64 at most.
    condition     = alltrue([for name in keys(var.consumers) : can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", name))])
    error_message = "consumers: a name is 1 to 30 lower-case letters, digits and hyphens, starts with a letter and does not end with a hyphen: it becomes part of function, role and alarm names."
  }

  validation {
    condition     = length(setintersection(keys(var.consumers), ["api", "bastion", "brokers", "clients", "endpoints", "flow-log", "grafana", "internet", "producer", "s3", "scraper", "sessions"])) == 0
    error_message = "consumers: api, bastion, brokers, clients, endpoints, flow-log, grafana, internet, producer, s3, scraper and sessions name other parts of the deployment: call the consumer otherwise."
  }

  # --- Topics and consumer groups --------------------------------------------------------------------------------------

  validation {
    condition     = alltrue([for it in values(var.consumers) : alltrue([for topic in coalesce(it.topics, []) : try(var.topics[topic].consumed, false)])])
    error_message = "consumers: topics must name entries of var.topics that have consumed = true. Not so: ${join(", ", distinct(flatten([for it in values(var.consumers) : [for topic in coalesce(it.topics, []) : topic if !try(var.topics[topic].consumed, false)]])))}."
  }

  validation {
    condition     = alltrue([for name, topic in var.topics : !topic.consumed || anytrue([for it in values(var.consumers) : it.topics == null || contains(coalesce(it.topics, []), name)])])
    error_message = "consumers: nobody reads the topics ${join(", ", [for name, topic in var.topics : name if topic.consumed && !anytrue([for it in values(var.consumers) : it.topics == null || contains(coalesce(it.topics, []), name)])])}. Name each in some consumer's topics, or set consumed = false for it in var.topics."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : can(regex("^[a-zA-Z0-9._-]+$", replace(it.consumer_group, "/\\{(topic|name|consumer)\\}/", "x")))])
    error_message = "consumers: consumer_group may hold letters, digits, dot, underscore, hyphen, {name}, {topic} and {consumer}: lag metrics vanish for names with other characters."
  }

  validation {
    condition     = alltrue([for groups in [flatten([for name, it in var.consumers : [for topic, of in var.topics : replace(replace(replace(it.consumer_group, "{consumer}", name), "{topic}", topic), "{name}", var.name) if of.consumed && (it.topics == null || contains(coalesce(it.topics, []), topic))]])] : length(groups) == length(distinct(groups))])
    error_message = "consumers: each event source mapping needs a group of its own. A consumer of several topics needs {topic} in consumer_group, and consumers that share a topic need a name each, such as {name}-{consumer}-{topic}; or narrow down their topics."
  }

  validation {
    # https://docs.aws.amazon.com/lambda/latest/api/API_AmazonManagedKafkaEventSourceConfig.html
    condition     = alltrue(flatten([for name, it in var.consumers : [for topic, of in var.topics : length(replace(replace(replace(it.consumer_group, "{consumer}", name), "{topic}", topic), "{name}", var.name)) <= 200 if of.consumed && (it.topics == null || contains(coalesce(it.topics, []), topic))]]))
    error_message = "consumers: Lambda takes consumer groups of at most 200 characters, and with var.name, the consumer and the topic in it a consumer_group is longer: shorten it, the topic's name or var.name."
  }

  # --- Dead letters --------------------------------------------------------------------------------------------------

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.dead_letter_topic == "" || can(regex("^[a-zA-Z0-9._-]{1,249}$", replace(it.dead_letter_topic, "/\\{(topic|name|consumer)\\}/", "x")))])
    error_message = "consumers: dead_letter_topic must be a topic name, in which {topic} stands for the record's topic (such as {topic}.dlq) and {consumer} for the consumer, or empty for none."
  }

  validation {
    condition     = alltrue(flatten([for name, it in var.consumers : [for topic, of in var.topics : length(replace(replace(replace(it.dead_letter_topic == "" ? "{topic}.dlq" : it.dead_letter_topic, "{consumer}", name), "{name}", var.name), "{topic}", topic)) <= 249 if of.dead_letter || (of.consumed && (it.topics == null || contains(coalesce(it.topics, []), topic)))]]))
    error_message = "consumers: with the topic's name in dead_letter_topic a dead-letter topic would have more than Kafka's 249 characters. Shorten the topic's name or dead_letter_topic; a topic that is not consumed can do without (dead_letter = false)."
  }

  validation {
    condition     = alltrue(flatten([for name, it in var.consumers : [for topic, of in var.topics : !try(var.topics[replace(replace(replace(it.dead_letter_topic, "{consumer}", name), "{name}", var.name), "{topic}", topic)].consumed, false) if of.consumed && (it.topics == null || contains(coalesce(it.topics, []), topic))]]))
    error_message = "consumers: dead_letter_topic must not be a consumed topic: a record that fails would come back for ever (destination = source)."
  }

  validation {
    # Only what two consumers write: one consumer may gather the letters of all its topics.
    condition = length(flatten([for name, it in var.consumers : distinct([for topic, of in var.topics : replace(replace(replace(it.dead_letter_topic, "{consumer}", name), "{name}", var.name), "{topic}", topic) if it.dead_letter_topic != "" && of.consumed && (it.topics == null || contains(coalesce(it.topics, []), topic))])])) == length(distinct(flatten([for name, it in var.consumers :
    [for topic, of in var.topics : replace(replace(replace(it.dead_letter_topic, "{consumer}", name), "{name}", var.name), "{topic}", topic) if it.dead_letter_topic != "" && of.consumed && (it.topics == null || contains(coalesce(it.topics, []), topic))]])))
    error_message = "consumers: two consumers would write the same dead-letter topic, and nobody could tell whose record failed. Give each a dead_letter_topic of its own, such as {topic}.{consumer}.dlq, or narrow down their topics."
  }

  # --- Topics that the handler writes --------------------------------------------------------------------------------

  validation {
    condition     = alltrue(flatten([for it in values(var.consumers) : [for topic in it.publishes : contains(keys(var.topics), topic)]]))
    error_message = "consumers: publishes must name entries of var.topics. Not so: ${join(", ", distinct(flatten([for it in values(var.consumers) : [for topic in it.publishes : topic if !contains(keys(var.topics), topic)]])))}."
  }

  validation {
    condition     = alltrue(flatten([for it in values(var.consumers) : [for topic in it.publishes : !try(var.topics[topic].consumed && (it.topics == null || contains(coalesce(it.topics, []), topic)), false)]]))
    error_message = "consumers: publishes must not name a topic that the same consumer reads, or its records would beget records for ever. Narrow down topics, or set consumed = false for what others read."
  }

  validation {
    # Not even its own: the right to write those follows from dead_letter_topic.
    condition     = length(setintersection(flatten(values(var.consumers)[*].publishes), flatten([for name, it in var.consumers : [for topic, of in var.topics : replace(replace(replace(it.dead_letter_topic, "{consumer}", name), "{name}", var.name), "{topic}", topic) if it.dead_letter_topic != "" && of.consumed && (it.topics == null || contains(coalesce(it.topics, []), topic))]]))) == 0
    error_message = "consumers: publishes must not name a dead-letter topic: the consumer whose records go there writes it without an entry in publishes, and nobody else may. Remove ${join(", ", setintersection(flatten(values(var.consumers)[*].publishes), flatten([for name, it in var.consumers : [for topic, of in var.topics : replace(replace(replace(it.dead_letter_topic, "{consumer}", name), "{name}", var.name), "{topic}", topic) if it.dead_letter_topic != "" && of.consumed && (it.topics == null || contains(coalesce(it.topics, []), topic))]])))} from publishes, or give that consumer another dead_letter_topic."
  }

  # --- Function ------------------------------------------------------------------------------------------------------

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.memory_mb >= 128 && it.memory_mb <= 10240])
    error_message = "consumers: memory_mb must be from 128 to 10240."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.timeout_seconds >= 3 && it.timeout_seconds <= 840])
    error_message = "consumers: timeout_seconds must be from 3 to 840: a Kafka event source mapping takes no function with a timeout above 14 minutes."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.reserved_concurrency == null || try(it.reserved_concurrency == -1 || (it.reserved_concurrency >= 1 && floor(it.reserved_concurrency) == it.reserved_concurrency), false)])
    error_message = "consumers: reserved_concurrency must be a whole number from 1 up, or -1 for none."
  }

  validation {
    # Those that leave it out get one at least.
    condition     = sum(concat([0], [for it in values(var.consumers) : max(0, coalesce(it.reserved_concurrency, 1))])) <= local.consumer_concurrency_limit
    error_message = "consumers: reserved_concurrency of all consumers together (at least 1 where it is left out) must not exceed ${local.consumer_concurrency_limit}, what this cluster's connection limits allow. Lower it, or set -1 where none is to be reserved."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : contains(["partition", "key", "none"], it.ordering)])
    error_message = "consumers: ordering must be partition, key or none."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.concurrency >= 1 && it.concurrency <= 1000 && floor(it.concurrency) == it.concurrency])
    error_message = "consumers: concurrency must be a whole number from 1 to 1000."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.canary == null || try(it.canary.weight > 0 && it.canary.weight < 1 && can(regex("^[0-9]+$", it.canary.version)), false)])
    error_message = "consumers: canary.weight must be between 0 and 1, such as 0.1, and canary.version the number of a published version."
  }

  # --- What the handler may use ----------------------------------------------------------------------------------------

  validation {
    condition     = alltrue(flatten([for it in values(var.consumers) : [for label, rule in it.egress : can(regex("^[a-zA-Z0-9_-]{1,60}$", label)) && rule.port >= 1 && rule.port <= 65535 && floor(rule.port) == rule.port]]))
    error_message = "consumers: egress is keyed by a label of 1 to 60 letters, digits, hyphens and underscores, and port is a whole number from 1 to 65535."
  }

  validation {
    condition     = alltrue(flatten([for it in values(var.consumers) : [for rule in values(it.egress) : length(rule.cidrs) + length(rule.security_group_ids) + length(rule.prefix_list_ids) > 0]]))
    error_message = "consumers: an entry of egress must say whereto: give it cidrs, security_group_ids or prefix_list_ids."
  }

  validation {
    condition     = alltrue(flatten([for it in values(var.consumers) : [for rule in values(it.egress) : [for cidr in rule.cidrs : can(cidrnetmask(cidr)) && try(cidrhost(cidr, 0) == split("/", cidr)[0], false)]]]))
    error_message = "consumers: cidrs in egress must be IPv4 ranges that begin at their first address, such as 10.1.0.0/16 or 203.0.113.7/32: the VPC has no IPv6."
  }

  validation {
    condition     = alltrue(flatten([for it in values(var.consumers) : [for rule in values(it.egress) : concat([for id in rule.security_group_ids : can(regex("^sg-[0-9a-z]+$", id))], [for id in rule.prefix_list_ids : can(regex("^pl-[0-9a-z]+$", id))])]]))
    error_message = "consumers: in egress, security_group_ids begin with sg- and prefix_list_ids with pl-."
  }

  validation {
    condition     = !var.use_vpc_endpoints || var.existing_network != null || alltrue(flatten([for it in values(var.consumers) : [for rule in values(it.egress) : !contains(rule.cidrs, "0.0.0.0/0")]]))
    error_message = "consumers: with use_vpc_endpoints = true nothing leads to the internet, so egress to 0.0.0.0/0 goes nowhere. Name the security group or prefix list of an endpoint of yours, or set use_vpc_endpoints = false."
  }

  validation {
    condition     = alltrue(flatten([for it in values(var.consumers) : [for statement in it.policy_statements : length(statement.actions) > 0 && length(statement.resources) > 0 && alltrue([for action in statement.actions : can(regex("^[a-z0-9-]+:[A-Za-z0-9]+\\*?$", action))])]]))
    error_message = "consumers: policy_statements need actions such as dynamodb:PutItem or s3:Get*, none of them a whole service (dynamodb:*), and resources: name what the handler calls."
  }

  validation {
    # Topics, groups and dead letters follow from the other settings; more would let one consumer read another's.
    condition     = alltrue(flatten([for it in values(var.consumers) : [for statement in it.policy_statements : [for action in statement.actions : !startswith(lower(action), "kafka-cluster:")]]]))
    error_message = "consumers: policy_statements must not hold kafka-cluster actions: what a consumer may read and write follows from its topics, consumer_group, dead_letter_topic and publishes."
  }

  validation {
    condition     = alltrue(flatten([for it in values(var.consumers) : [for arn in it.policy_arns : can(regex("^arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[a-zA-Z0-9+=,.@_/-]+$", arn))]]))
    error_message = "consumers: policy_arns must be ARNs of managed policies, such as arn:aws:iam::123456789012:policy/orders-table."
  }

  validation {
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    condition     = alltrue([for it in values(var.consumers) : length(it.policy_arns) <= 10])
    error_message = "consumers: a role takes 10 managed policies; put more into policy_statements."
  }

  validation {
    condition     = alltrue(flatten([for it in values(var.consumers) : [for name in keys(it.environment) : can(regex("^APP_[A-Z0-9_]+$", name))]]))
    error_message = "consumers: environment takes names of upper-case letters, digits and underscores that begin with APP_, which are the handler's own; the others follow from the consumer's settings."
  }

  validation {
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html; 1500 characters are the other variables'.
    condition     = alltrue([for it in values(var.consumers) : length(jsonencode(it.environment)) <= 2500])
    error_message = "consumers: environment has more than 2500 characters, and Lambda takes 4 KB with the consumer's own settings: keep long values in SSM or Secrets Manager."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : length(it.layers) <= 5 && alltrue([for arn in it.layers : can(regex("^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:layer:[a-zA-Z0-9_-]+:[0-9]+$", arn))])])
    error_message = "consumers: layers are at most 5 ARNs of layer versions, such as arn:aws:lambda:us-east-1:123456789012:layer:name:1."
  }

  # --- Event source mapping ------------------------------------------------------------------------------------------

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.batch_size >= 1 && it.batch_size <= 10000])
    error_message = "consumers: batch_size must be from 1 to 10000."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.batch_window_seconds == null || try(it.batch_window_seconds >= 0 && it.batch_window_seconds <= 300, false)])
    error_message = "consumers: batch_window_seconds must be from 0 to 300, or null for Lambda's 500 ms."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : contains(["TRIM_HORIZON", "LATEST"], it.starting_position)])
    error_message = "consumers: starting_position must be TRIM_HORIZON or LATEST (LATEST misses what is written while the mapping is being created)."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : length(it.filters) <= 5 && alltrue([for pattern in it.filters : can(jsondecode(pattern)) && length(pattern) <= 4096])])
    error_message = "consumers: filters are at most 5 JSON patterns of at most 4096 characters each."
  }

  validation {
    condition = var.esm_mode == "provisioned" || alltrue(flatten([for it in values(var.consumers) : [
      for value in [it.minimum_pollers, it.maximum_pollers, it.maximum_retries, it.maximum_age_seconds, it.bisect_on_error, it.failure_destination, it.event_source_metrics] : value == null
    ]]))
    error_message = "consumers: minimum_pollers, maximum_pollers, maximum_retries, maximum_age_seconds, bisect_on_error, failure_destination and event_source_metrics need esm_mode = \"provisioned\"."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : try(coalesce(it.minimum_pollers, 1) >= 1 && coalesce(it.minimum_pollers, 1) <= 200 && coalesce(it.maximum_pollers, 2000) <= 2000 && coalesce(it.minimum_pollers, 1) <= coalesce(it.maximum_pollers, 2000), false)])
    error_message = "consumers: minimum_pollers must be from 1 to 200, and not above maximum_pollers (at most 2000)."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.maximum_retries == null || try(it.maximum_retries >= 0 && it.maximum_retries <= 10000, false)])
    error_message = "consumers: maximum_retries must be from 0 to 10000: retrying for ever lets one bad record stop its partition."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.maximum_age_seconds == null || try(it.maximum_age_seconds >= 60 && it.maximum_age_seconds <= 604800, false)])
    error_message = "consumers: maximum_age_seconds must be from 60 to 604800 (7 days)."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.failure_destination == null || contains(["dead_letter_topic", "none"], coalesce(it.failure_destination, "-")) || can(regex("^arn:aws[a-z-]*:(s(qs|ns):[a-z0-9-]+:[0-9]{12}:[a-zA-Z0-9_-]+|s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])$", it.failure_destination))])
    error_message = "consumers: failure_destination must be dead_letter_topic, none, or the ARN of a standard SQS queue, a standard SNS topic or an S3 bucket (which alone keeps the records themselves)."
  }

  validation {
    # The endpoint that is made for it serves its own region.
    condition     = var.existing_network != null || alltrue([for it in values(var.consumers) : !can(regex("^arn:[^:]+:s(qs|ns):", it.failure_destination)) || try(split(":", it.failure_destination)[3], "") == var.region])
    error_message = "consumers: failure_destination must be in ${var.region}: Lambda reaches it through a VPC endpoint, which serves its own region."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : it.failure_destination_kms_key_arn == null || (startswith(coalesce(it.failure_destination, "-"), "arn:") && can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/", it.failure_destination_kms_key_arn)))])
    error_message = "consumers: failure_destination_kms_key_arn must be the ARN of the KMS key (arn:aws:kms:...:key/...) of a failure_destination that is an SQS queue, an SNS topic or an S3 bucket; leave it out where the destination has no key of your own."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : coalesce(it.failure_destination, "-") != "dead_letter_topic" || it.dead_letter_topic != ""])
    error_message = "consumers: failure_destination = dead_letter_topic needs a dead_letter_topic."
  }

  validation {
    condition     = alltrue([for it in values(var.consumers) : alltrue([for metric in coalesce(it.event_source_metrics, []) : contains(["EventCount", "ErrorCount", "KafkaMetrics"], metric)])])
    error_message = "consumers: event_source_metrics takes EventCount, ErrorCount and KafkaMetrics."
  }
}

variable "consumer" {
  description = "The old name of the entry consumer in consumers; refused."
  type        = any
  default     = null

  validation {
    # A variable that is not declared would be dropped with a warning, and its settings with it.
    condition     = var.consumer == null
    error_message = "consumer is now an entry of consumers: write consumers = { consumer = { ... } } with the same settings. The plan then moves what there is, and replaces nothing."
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
