# Dead letters that fit their topic, and keys where Kafka asks for them.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

run "a_dead_letter_fits_with_its_headers" {
  command = plan

  variables {
    topics = {
      orders = { config = { "max.message.bytes" = "5242880" } }
      small  = { config = { "max.message.bytes" = "2000" } }
      usual  = {}
    }
  }

  assert {
    condition     = jsondecode(aws_msk_topic.this["orders.dlq"].configs)["max.message.bytes"] == "5259264" && jsondecode(aws_msk_topic.this["usual.dlq"].configs)["max.message.bytes"] == "1064972"
    error_message = "The largest record and the letter's headers must fit: 16 KiB more than the topic takes, by default too."
  }
  assert {
    condition     = jsondecode(aws_msk_topic.this["small.dlq"].configs)["max.message.bytes"] == "1048588"
    error_message = "A dead-letter topic takes what Kafka takes by default, at least."
  }
  assert {
    condition     = !can(jsondecode(aws_msk_topic.this["usual"].configs)["max.message.bytes"]) && jsondecode(aws_msk_topic.this["orders"].configs)["max.message.bytes"] == "5242880"
    error_message = "The topics themselves keep what they say."
  }
}

run "a_failure_document_of_lambda_fits" {
  command = plan

  variables {
    esm_mode = "provisioned"
    topics   = { orders = { config = { "max.message.bytes" = "5242880" } }, usual = {} }
  }

  assert {
    condition     = jsondecode(aws_msk_topic.this["orders.dlq"].configs)["max.message.bytes"] == "10551296" && jsondecode(aws_msk_topic.this["usual.dlq"].configs)["max.message.bytes"] == "2162712"
    error_message = "Lambda writes base64 and metadata: more than 4/3 of the record must fit, by default too."
  }
  assert {
    # The record of a public report: 900,000 bytes in base64, and 64 KiB for the rest.
    condition     = tonumber(jsondecode(aws_msk_topic.this["usual.dlq"].configs)["max.message.bytes"]) > 900000 * 4 / 3 + 65536
    error_message = "A record of 900,000 bytes must not be dropped on the defaults."
  }
}

run "lambda_that_writes_elsewhere_needs_no_more_room" {
  command = plan

  variables {
    esm_mode  = "provisioned"
    consumers = { consumer = { failure_destination = "arn:aws:s3:::failures" } }
  }

  assert {
    condition     = jsondecode(aws_msk_topic.this["orders.dlq"].configs)["max.message.bytes"] == "1064972"
    error_message = "Only the consumer's own letters come to this topic."
  }
}

run "the_clusters_own_limit_counts" {
  command = plan

  variables {
    server_properties = { "message.max.bytes" = "4194304" }
    topics            = { orders = {}, small = { config = { "max.message.bytes" = "1048588" } } }
  }

  assert {
    condition     = jsondecode(aws_msk_topic.this["orders.dlq"].configs)["max.message.bytes"] == "4210688" && jsondecode(aws_msk_topic.this["small.dlq"].configs)["max.message.bytes"] == "1064972"
    error_message = "A topic that says nothing takes what message.max.bytes of the cluster says."
  }
}

run "a_shared_dead_letter_topic_takes_the_largest" {
  command = plan

  variables {
    topics    = { orders = { config = { "max.message.bytes" = "5242880" } }, payments = {} }
    consumers = { consumer = { dead_letter_topic = "all.dlq" } }
  }

  assert {
    condition     = jsondecode(aws_msk_topic.this["all.dlq"].configs)["max.message.bytes"] == "5259264"
    error_message = "Where several topics share a dead-letter topic, the largest record of any must fit."
  }
}

run "a_declared_dead_letter_topic_follows_too" {
  command = plan

  variables {
    topics = {
      orders       = { config = { "max.message.bytes" = "5242880" } }
      "orders.dlq" = { produced = false, consumed = false, config = { "retention.ms" = "2592000000" } }
    }
  }

  assert {
    condition     = jsondecode(aws_msk_topic.this["orders.dlq"].configs)["max.message.bytes"] == "5259264" && jsondecode(aws_msk_topic.this["orders.dlq"].configs)["retention.ms"] == "2592000000"
    error_message = "A declared dead-letter topic keeps its settings, and takes the letters."
  }
}

run "express_dead_letters_take_what_lambda_can_bring" {
  command = plan

  variables {
    broker_type = "express"
    esm_mode    = "provisioned"
    topics      = { orders = {}, small = { config = { "max.message.bytes" = "1048588" } } }
  }

  assert {
    condition     = jsondecode(aws_msk_topic.this["orders.dlq"].configs)["max.message.bytes"] == "8388608" && jsondecode(aws_msk_topic.this["small.dlq"].configs)["max.message.bytes"] == "2162712"
    error_message = "Express brokers' default is not stated: 8 MiB hold any document about an event of 6 MB."
  }
}

run "a_declared_dead_letter_topic_that_is_too_small" {
  command = plan

  variables {
    topics = {
      orders       = { config = { "max.message.bytes" = "5242880" } }
      "orders.dlq" = { produced = false, consumed = false, config = { "max.message.bytes" = "5242880" } }
    }
  }

  expect_failures = [aws_msk_topic.this]
}

run "a_limit_that_is_no_number" {
  command = plan

  variables {
    topics = { orders = { config = { "max.message.bytes" = "5MB" } } }
  }

  expect_failures = [var.topics]
}

# ----------------------------------------------------------------------------
# Compaction
# ----------------------------------------------------------------------------

run "compacted_topics_ask_for_keys" {
  command = plan

  variables {
    topics = {
      state    = { config = { "cleanup.policy" = "compact" } }
      both     = { config = { "cleanup.policy" = "delete, compact" }, policy = { max_record_bytes = 65536 } }
      explicit = { config = { "cleanup.policy" = "compact,delete" }, policy = { key = "required" } }
      events   = { policy = { key = "optional" } }
    }
  }

  assert {
    condition = jsondecode(aws_lambda_function.producer.environment[0].variables.TOPICS) == {
      state = { key = "required" }, both = { key = "required", max_record_bytes = 65536 }, explicit = { key = "required" }, events = { key = "optional" }
    }
    error_message = "Kafka refuses records without a key on a compacted topic: the producer must ask for one."
  }
  assert {
    condition     = alltrue([for name in ["state", "both", "explicit", "events"] : jsondecode(aws_msk_topic.this["${name}.dlq"].configs)["cleanup.policy"] == "delete"])
    error_message = "Dead letters are never compacted."
  }
}

run "a_cluster_that_compacts_asks_for_keys" {
  command = plan

  variables {
    server_properties = { "log.cleanup.policy" = "compact" }
    topics            = { orders = {}, events = { config = { "cleanup.policy" = "delete" } } }
  }

  assert {
    condition     = jsondecode(aws_lambda_function.producer.environment[0].variables.TOPICS) == { orders = { key = "required" }, events = {} }
    error_message = "The cluster's log.cleanup.policy holds for topics that say nothing."
  }
  assert {
    condition     = jsondecode(aws_msk_topic.this["orders.dlq"].configs)["cleanup.policy"] == "delete"
    error_message = "Dead letters are not compacted, whatever the cluster's default."
  }
}

run "compaction_without_keys" {
  command = plan

  variables {
    topics = { orders = { config = { "cleanup.policy" = "compact" }, policy = { key = "optional" } } }
  }

  expect_failures = [var.topics]
}

run "compaction_by_the_cluster_without_keys" {
  command = plan

  variables {
    server_properties = { "log.cleanup.policy" = "delete,compact" }
    topics            = { orders = { policy = { key = "optional" } } }
  }

  expect_failures = [var.topics]
}

run "compaction_of_what_nobody_produces_here" {
  command = plan

  variables {
    topics = { orders = {}, inbound = { produced = false, config = { "cleanup.policy" = "compact" }, policy = { key = "optional" } } }
  }

  assert {
    condition     = jsondecode(aws_msk_topic.this["inbound"].configs)["cleanup.policy"] == "compact"
    error_message = "The producer's rules do not matter for a topic that it does not write."
  }
}

run "compacted_dead_letters" {
  command = plan

  variables {
    topics = {
      orders       = {}
      "orders.dlq" = { produced = false, consumed = false, config = { "cleanup.policy" = "compact" } }
    }
  }

  expect_failures = [aws_msk_topic.this]
}

run "callers_of_a_topic_reach_the_producer" {
  command = plan

  variables {
    topics = {
      audit  = { policy = { principals = null } }
      orders = { policy = { stamp_principal = true } }
      payroll = { policy = { stamp_principal = false, principals = [
        "arn:aws:iam::123456789012:role/team/finance",
        "arn:aws:iam::123456789012:role/fin*",
        "arn:aws:iam::123456789012:user/team/kim",
        "arn:aws:iam::123456789012:user/team/*",
        "arn:aws:iam::123456789012:*",
        "arn:aws-cn:iam::123456789012:root",
        "arn:aws:sts::123456789012:federated-user/kim",
        "sub:auth0|7 a",
        "scope:payroll/write",
        "client_id:job",
      ] } }
    }
  }

  assert {
    condition = aws_lambda_function.producer.environment[0].variables.TOPICS == jsonencode({
      audit   = {}
      orders  = { stamp_principal = true }
      payroll = { stamp_principal = false, principals = var.topics.payroll.policy.principals }
    })
    error_message = "The producer gets each topic's callers as they are, and no others."
  }
}
