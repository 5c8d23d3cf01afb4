# Topics, and a dead-letter topic beside each. Lambda and the producer see the same map.

locals {
  produced_topics = { for name, topic in var.topics : name => topic if topic.produced }

  # In use: what a consumer may write, and what its failures go to.
  used_dead_letters = [for it in values(local.readings) : { source = it.topic, name = it.dead_letter, document = local.consumers[it.consumer].failure_destination == "dead_letter_topic" } if it.dead_letter != null]

  # Existing: beside every declared topic, so that taking one out of use leaves its dead letters where they are (the plan
  # refuses to destroy a topic). A dead-letter topic that is declared itself gets none of its own.
  kept_dead_letter_pattern = try(coalesce(var.consumers["consumer"].dead_letter_topic), "{topic}.dlq")
  kept_dead_letter_names   = { for name in keys(var.topics) : name => replace(replace(replace(local.kept_dead_letter_pattern, "{consumer}", "consumer"), "{name}", local.name), "{topic}", name) }
  dead_letters = concat(local.used_dead_letters, [
    for name, topic in var.topics : { source = name, name = local.kept_dead_letter_names[name], document = anytrue([for it in values(local.consumers) : it.failure_destination == "dead_letter_topic"]) }
    if topic.dead_letter && !contains(local.used_dead_letters[*].source, name) && !contains(concat(values(local.kept_dead_letter_names), local.used_dead_letters[*].name), name)
  ])

  # Kafka refuses records without a key on a compacted topic, so the producer asks for one. A topic follows the cluster's
  # log.cleanup.policy where it says nothing itself.
  cleanup_policies = { for name, topic in var.topics : name => lookup(topic.config, "cleanup.policy", lookup(var.server_properties, "log.cleanup.policy", "delete")) }
  compacted_topics = [for name, policy in local.cleanup_policies : name if contains([for word in split(",", policy) : lower(trimspace(word))], "compact")]

  # The largest record of each topic, in bytes. Kafka's default; on Express brokers, whose default AWS does not state, more
  # than any event of Lambda's 6 MB can hold.
  default_max_message_bytes = local.is_express ? 8388608 : 1048588
  max_message_bytes = { for name, topic in var.topics : name =>
    try(tonumber(lookup(topic.config, "max.message.bytes", lookup(var.server_properties, "message.max.bytes", "none"))), local.default_max_message_bytes)
  }
  # What its dead letter may need. The consumer adds headers: names, place and an error of 1 KiB, together below 16 KiB.
  # Lambda writes a JSON document instead: the value in base64 (4/3 of it), the key once more, headers as lists of numbers
  # (up to four times), and metadata; twice the record holds that while headers are a quarter of it or less.
  # https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure-destination.html
  dead_letter_needs = [for it in local.dead_letters : merge(it, { bytes = local.is_express && local.max_message_bytes[it.source] == local.default_max_message_bytes ? local.default_max_message_bytes : max(
    1048588, it.document ? 2 * local.max_message_bytes[it.source] + 65536 : local.max_message_bytes[it.source] + 16384
  ) })]
  # Name of a dead-letter topic -> what the largest of its sources needs.
  dead_letter_topic_bytes = { for name in distinct(local.dead_letters[*].name) : name => max([for it in local.dead_letter_needs : it.bytes if it.name == name]...) }
  # Never compacted, whatever the cluster's default: letters without a key would be refused, and others overwrite each other.
  dead_letter_settings = { for name, bytes in local.dead_letter_topic_bytes : name => { "cleanup.policy" = "delete", "max.message.bytes" = tostring(bytes) } }

  # Dead letters wait two weeks for a human. A topic given in var.topics keeps its own settings.
  all_topics = merge(
    { for it in local.dead_letters : it.name => { partitions = var.topics[it.source].partitions, config = merge(local.dead_letter_settings[it.name], { "retention.ms" = "1209600000" }) }... },
    { for name, topic in var.topics : name => [{ partitions = topic.partitions, config = merge(lookup(local.dead_letter_settings, name, {}), topic.config) }] },
  )
}

# Created through MSK's API: no path to the brokers is needed. https://docs.aws.amazon.com/msk/latest/developerguide/msk-topic-operations-information.html
resource "aws_msk_topic" "this" {
  for_each = local.all_topics

  cluster_arn        = local.cluster_arn
  name               = each.key
  partition_count    = max(each.value[*].partitions...)
  replication_factor = var.replication_factor
  # Express brokers fix the minimum of in-sync replicas themselves.
  configs = jsonencode(merge(each.value[0].config, local.is_express ? {} : { "min.insync.replicas" = tostring(var.min_insync_replicas) }))

  lifecycle {
    prevent_destroy = true # its records go with it

    precondition {
      condition     = !contains(keys(local.dead_letter_settings), each.key) || !strcontains(lower(try(each.value[0].config["cleanup.policy"], "delete")), "compact")
      error_message = "${each.key} holds dead letters and must not be compacted: letters without a key would be refused, and later ones overwrite earlier ones. Remove cleanup.policy from its config in topics."
    }

    precondition {
      condition     = !contains(keys(local.dead_letter_settings), each.key) || try(tonumber(each.value[0].config["max.message.bytes"]) >= local.dead_letter_topic_bytes[each.key], false)
      error_message = "${each.key} holds dead letters of up to ${lookup(local.dead_letter_topic_bytes, each.key, 0)} bytes, more than the max.message.bytes in its config in topics: raise it, or remove it, and it follows."
    }
  }
}
