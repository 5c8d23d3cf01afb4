# Second stack: fills a Grafana workspace with data sources, a folder and the dashboards of ../dashboards.
# Apply the main stack first; docs/03_MONITORING.md shows both. Any other Grafana (open source, on a laptop) works too:
# give its URL and a token, aws_auth = "default", and sigv4 = false for a Prometheus that takes unsigned requests.

terraform {
  required_version = ">= 1.9"

  required_providers {
    grafana = {
      source  = "grafana/grafana"
      version = ">= 4.0, < 5"
    }
  }
}

provider "grafana" {
  url  = var.grafana_url
  auth = var.grafana_token
}

locals {
  # Grafana's own source signs no queries any more (Amazon Managed Grafana from 12 on, deprecated elsewhere); AWS's plug-in
  # does, and takes the same queries. A source of another type is another source to Grafana, to each panel and variable too.
  # https://docs.aws.amazon.com/grafana/latest/userguide/prometheus-manually-adding.html
  # https://grafana.com/docs/plugins/grafana-amazonprometheus-datasource/latest/configure/
  prometheus_type = var.sigv4 ? "grafana-amazonprometheus-datasource" : "prometheus"
  files = { for file in fileset("${path.module}/../dashboards", "*.json") : trimsuffix(file, ".json") => jsondecode(
    # "type" of a panel's or a variable's source, "query" of the variable that offers the sources; jsonencode leaves no blanks.
    replace(jsonencode(jsondecode(file("${path.module}/../dashboards/${file}"))), "/\"(type|query)\":\"prometheus\"/", "\"$1\":\"${local.prometheus_type}\"")
  ) }

  # Each consumer has its own function and namespace of metrics, so each has its own copy of the dashboard.
  consumer_dashboards = { for name, it in var.consumers : (name == "consumer" ? name : "consumer-${name}") => {
    namespace = it.metrics_namespace
    # Grafana takes 40 characters in a uid; a consumer's name has 30 at most.
    dashboard = name == "consumer" ? local.files.consumer : merge(
      jsondecode(replace(jsonencode(local.files.consumer), "\"$name-consumer\"", "\"$name-${name}\"")),
      { uid = "msk-c-${name}", title = "${local.files.consumer.title} ${name}" },
    )
  } }
  dashboards = merge(
    { for key, dashboard in local.files : key => dashboard if key != "consumer" },
    { for key, it in local.consumer_dashboards : key => it.dashboard },
  )

  # What a dashboard shows first; the dashboards themselves name no installation.
  preset = merge(
    { cloudwatch = grafana_data_source.cloudwatch.uid, name = var.name, api_id = var.api_id },
    { for source in grafana_data_source.prometheus : "prometheus" => source.uid },
  )
  presets = { for key in keys(local.dashboards) : key => merge(local.preset, { namespace = coalesce(try(local.consumer_dashboards[key].namespace, null), var.name) }) }
  preset_dashboards = {
    for key, dashboard in local.dashboards : key => merge(dashboard, {
      templating = { list = [
        for variable in dashboard.templating.list : merge(
          variable,
          { for field, value in { current = { text = lookup(local.presets[key], variable.name, ""), value = lookup(local.presets[key], variable.name, "") } } : field => value if contains(keys(local.presets[key]), variable.name) },
          { for field, value in { query = lookup(local.presets[key], variable.name, "") } : field => value if contains(keys(local.presets[key]), variable.name) && variable.type == "textbox" },
        )
      ] }
    })
  }
}

resource "grafana_data_source" "prometheus" {
  count = var.prometheus_endpoint == null ? 0 : 1

  name       = "${var.name} Prometheus"
  uid        = "${var.name}-prometheus"
  type       = local.prometheus_type
  url        = var.prometheus_endpoint
  is_default = true

  json_data_encoded = jsonencode(merge(
    { httpMethod = "POST", timeInterval = "${var.scrape_interval_seconds}s" },
    var.sigv4 ? { sigV4Auth = true, sigV4AuthType = var.aws_auth, sigV4Region = var.region } : {},
  ))
}

resource "grafana_data_source" "cloudwatch" {
  name = "${var.name} CloudWatch"
  uid  = "${var.name}-cloudwatch"
  type = "cloudwatch"

  json_data_encoded = jsonencode({ authType = var.aws_auth, defaultRegion = var.region })
}

resource "grafana_folder" "this" {
  title = var.name
  uid   = var.name
}

resource "grafana_dashboard" "this" {
  for_each = local.preset_dashboards

  folder      = grafana_folder.this.uid
  config_json = jsonencode(each.value)
  overwrite   = true # the files are the truth; changes made by hand are copied back into them
  message     = "terraform"
}
