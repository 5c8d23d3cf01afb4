# The consumers of var.consumers: what follows from their settings and from each other's, and the module that makes each.

locals {
  # One value decides what the mappings ask for and what the functions are told.
  partial_batch_responses = var.esm_mode == "provisioned"

  # What the consumers that leave it open have of the connections' share, each.
  consumers_concurrency_taken = sum(concat([0], [for it in values(var.consumers) : max(0, coalesce(it.reserved_concurrency, 0))]))
  consumers_concurrency_each  = floor((local.consumer_concurrency_limit - local.consumers_concurrency_taken) / max(1, length([for it in values(var.consumers) : it if it.reserved_concurrency == null])))

  consumer_topics = { for name, it in var.consumers : name => [for topic in sort(keys(var.topics)) : topic if var.topics[topic].consumed && (it.topics == null || contains(coalesce(it.topics, []), topic))] }

  # Settings, and what follows from them.
  consumers = { for name, it in var.consumers : name => merge(it, {
    zip = coalesce(it.zip, "${var.function_zip_directory}/${name}/bootstrap.zip")
    # Kafka partitions are read one batch at a time, so more environments than partitions would idle.
    reserved_concurrency = coalesce(it.reserved_concurrency, max(1, min(sum(concat([0], [for topic in local.consumer_topics[name] : var.topics[topic].partitions])), local.consumers_concurrency_each)))
    failure_destination  = var.esm_mode == "on_demand" ? "none" : coalesce(it.failure_destination, it.dead_letter_topic == "" ? "none" : "dead_letter_topic")
    # Its own metrics under its own name; those of the first one are where they have always been.
    metrics_namespace = name == "consumer" ? local.name : "${local.name}/${name}"

    # What only a mapping with pollers of its own may have; null on demand.
    provisioned = var.esm_mode == "provisioned" ? {
      minimum_pollers     = coalesce(it.minimum_pollers, 1)
      maximum_pollers     = coalesce(it.maximum_pollers, max(coalesce(it.minimum_pollers, 1), 10))
      maximum_retries     = coalesce(it.maximum_retries, 5)
      maximum_age_seconds = coalesce(it.maximum_age_seconds, 86400)
      bisect_on_error     = coalesce(it.bisect_on_error, false)
      metrics             = coalesce(it.event_source_metrics, ["EventCount", "ErrorCount", "KafkaMetrics"])
    } : null
    # Only such mappings publish metrics, in the groups that metrics_config names.
    mapping_metrics = var.esm_mode == "provisioned" ? coalesce(it.event_source_metrics, ["EventCount", "ErrorCount", "KafkaMetrics"]) : []

    # MSK's and the functions' metrics are there within two minutes: 7 + 2 < 10. A batch is gathered for as long as its window
    # and may then take as long as the function's timeout, and until then nothing is known; when both together are above 5
    # minutes the page comes later than 10.
    stalled_minutes = max(7, ceil((it.timeout_seconds + coalesce(it.batch_window_seconds, 0)) / 60) + 2)
  }) }

  # One for each event source mapping. The key is the topic for the entry `consumer`, NAME/TOPIC for the others: a topic has
  # no slash, so no two are the same.
  readings = merge([for name, it in local.consumers : { for topic in local.consumer_topics[name] : (name == "consumer" ? topic : "${name}/${topic}") => {
    consumer    = name
    topic       = topic
    group       = replace(replace(replace(it.consumer_group, "{consumer}", name), "{topic}", topic), "{name}", local.name)
    dead_letter = it.dead_letter_topic == "" ? null : replace(replace(replace(it.dead_letter_topic, "{consumer}", name), "{name}", local.name), "{topic}", topic)
  } }]...)
  consumed_topics = toset([for it in values(local.readings) : it.topic])

  # Where failed batches go besides Kafka: "sqs", "sns", "s3".
  failure_services = distinct([for it in values(local.consumers) : split(":", it.failure_destination)[2] if startswith(it.failure_destination, "arn:")])

  consumer_environments = { for name, it in local.consumers : name => merge(
    it.environment,
    local.common_environment,
    {
      METRICS_NAMESPACE          = it.metrics_namespace
      REPORT_BATCH_ITEM_FAILURES = tostring(local.partial_batch_responses)
      ORDERING                   = it.ordering
      CONCURRENCY                = tostring(it.concurrency)
    },
    # Without a dead letter, and a topic to write, the consumer never speaks to the brokers.
    it.dead_letter_topic == "" && length(it.publishes) == 0 ? {} : local.kafka_environment,
    it.dead_letter_topic == "" ? {} : { DEAD_LETTER = "kafka:${replace(replace(it.dead_letter_topic, "{consumer}", name), "{name}", local.name)}" },
  ) }
}

module "consumer" {
  source   = "./modules/consumer"
  for_each = local.consumers

  name                    = "${local.name}-${each.key}"
  settings                = each.value
  mappings                = { for it in values(local.readings) : it.topic => { group = it.group, dead_letter = it.dead_letter } if it.consumer == each.key }
  environment             = local.consumer_environments[each.key]
  partial_batch_responses = local.partial_batch_responses

  architecture             = var.function_architecture
  log_level                = var.log_level
  log_retention_days       = var.log_retention_days
  kms_key_arn              = aws_kms_key.this.arn
  network                  = { vpc_id = local.vpc_id, subnet_ids = local.private_subnet_ids }
  cluster_arn              = local.cluster_arn
  platform_statements      = local.function_platform_statements[each.key]
  trust_policy             = local.function_trust
  permissions_boundary_arn = var.permissions_boundary_arn
  kms_via_suffix           = "${var.region}.${local.dns_suffix}"

  depends_on = [aws_msk_topic.this] # a mapping is refused while its topic is missing
}

# ----------------------------------------------------------------------------
# Where the one consumer was before there were several
# ----------------------------------------------------------------------------

moved {
  from = aws_lambda_function.consumer
  to   = module.consumer["consumer"].aws_lambda_function.this
}

moved {
  from = aws_lambda_event_source_mapping.consumer
  to   = module.consumer["consumer"].aws_lambda_event_source_mapping.this
}

moved {
  from = aws_iam_role.consumer
  to   = module.consumer["consumer"].aws_iam_role.this
}

moved {
  from = aws_iam_role_policy.consumer
  to   = module.consumer["consumer"].aws_iam_role_policy.this
}

moved {
  from = aws_security_group.this["consumer"]
  to   = module.consumer["consumer"].aws_security_group.this
}

moved {
  from = aws_cloudwatch_log_group.this["consumer"]
  to   = module.consumer["consumer"].aws_cloudwatch_log_group.this
}
