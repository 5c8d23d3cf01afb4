# What the producer's zip can do beyond the plain one, and the layer with the files that its environment has no room for.

locals {
  # `cargo xtask package` writes beside the zip what is in it, and for which zip that holds. A zip without that is a plain one.
  producer_zip_contents = "${trimsuffix(local.producer_zip, ".zip")}.json"
  producer_zip_features = try(jsondecode(file(local.producer_zip_contents)).zip_sha256 == filebase64sha256(local.producer_zip), false) ? jsondecode(file(local.producer_zip_contents)).features : []

  topic_schemas        = sort(distinct([for topic in values(local.produced_topics) : topic.policy.schema if topic.policy.schema != null]))
  wanted_zip_features  = concat(length(local.topic_schemas) > 0 ? ["schemas"] : [], var.api.docs_page ? ["docs-page"] : [])
  missing_zip_features = setsubtract(local.wanted_zip_features, local.producer_zip_features)
  producer_zip_command = "cargo xtask package${var.function_architecture == "arm64" ? " --arm64" : ""}${length(local.wanted_zip_features) == 0 ? "" : " --features ${join(",", local.wanted_zip_features)}"}"
  missing_schema_files = [for name in local.topic_schemas : name if !fileexists("${var.schemas_directory}/${name}.json")]
  producer_policies    = jsonencode({ for name, topic in local.produced_topics : name => { for key, value in merge(topic.policy, { principals = local.topic_principals[name] }, contains(local.compacted_topics, name) ? { key = "required" } : {}) : key => value if value != null } })
  # The brokers' names, three of some hundred bytes, are not known before the cluster is there.
  inline_topics_bytes  = 500 + length(jsonencode(merge({ for name, value in local.producer_settings : name => value if name != "KAFKA_BOOTSTRAP_SERVERS" }, { TOPICS = local.producer_policies })))
  has_producer_layer   = length(local.topic_schemas) > 0 || local.inline_topics_bytes > 3500
  producer_layer_files = local.has_producer_layer ? merge({ "topics.json" = local.producer_policies }, { for name in setsubtract(local.topic_schemas, local.missing_schema_files) : "schemas/${name}.json" => file("${var.schemas_directory}/${name}.json") }) : {}
}

# A layer is unpacked into /opt. Its bytes follow from its files alone, so an unchanged layer stays.
data "archive_file" "producer_layer" {
  count = local.has_producer_layer ? 1 : 0

  type             = "zip"
  output_path      = "${path.module}/.terraform/producer-layer.zip"
  output_file_mode = "0644"

  dynamic "source" {
    for_each = local.producer_layer_files

    content {
      filename = source.key
      content  = source.value
    }
  }
}

resource "aws_lambda_layer_version" "producer" {
  count = local.has_producer_layer ? 1 : 0

  layer_name       = "${local.name}-producer-topics"
  description      = "Policies and schemas of the topics"
  filename         = data.archive_file.producer_layer[0].output_path
  source_code_hash = data.archive_file.producer_layer[0].output_base64sha256

  lifecycle {
    create_before_destroy = true # versions of the function that still run name the old one

    precondition {
      condition     = length(local.missing_schema_files) == 0
      error_message = "topics: policy.schema names files that are not in ${var.schemas_directory} (schemas_directory): ${join(", ", [for name in local.missing_schema_files : "${name}.json"])}."
    }
  }
}
