# Topics, and a dead-letter topic beside each. Lambda and the producer see the same map.

locals {
  produced_topics = { for name, topic in var.topics : name => topic if topic.produced }
  consumed_topics = { for name, topic in var.topics : name => topic if topic.consumed }

  # In use: what the consumer may write, and what its failures go to.
  dead_letter_topics = var.consumer.dead_letter_topic == "" ? {} : { for name in keys(local.consumed_topics) : name => local.dead_letter_names[name] }
  consumer_groups    = { for name in keys(local.consumed_topics) : name => replace(replace(var.consumer.consumer_group, "{topic}", name), "{name}", local.name) }

  # Existing: beside every declared topic, so that taking one out of use leaves its dead letters where they are (the plan
  # refuses to destroy a topic). A dead-letter topic that is declared itself gets none of its own.
  dead_letter_names = { for name in keys(var.topics) : name => replace(var.consumer.dead_letter_topic == "" ? "{topic}.dlq" : var.consumer.dead_letter_topic, "{topic}", name) }
  kept_dead_letter_topics = merge(local.dead_letter_topics, {
    for name, topic in var.topics : name => local.dead_letter_names[name] if topic.dead_letter && !contains(values(local.dead_letter_names), name)
  })

  # Dead letters wait two weeks for a human. A topic given in var.topics keeps its own settings.
  all_topics = merge(
    { for source, name in local.kept_dead_letter_topics : name => { partitions = var.topics[source].partitions, config = { "retention.ms" = "1209600000" } }... },
    { for name, topic in var.topics : name => [{ partitions = topic.partitions, config = topic.config }] },
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
  }
}
