# The stack that fills Grafana. Nothing here reaches one.

mock_provider "grafana" {
  override_during = plan

  mock_resource "grafana_folder" {
    defaults = { id = "1" }
  }

  mock_resource "grafana_data_source" {
    defaults = { id = "1" }
  }

  mock_resource "grafana_dashboard" {
    defaults = { url = "https://grafana.example.com/d/mocked" }
  }
}

variables {
  grafana_url         = "https://g-0123456789.grafana-workspace.us-east-1.amazonaws.com"
  grafana_token       = "mocked"
  region              = "us-east-1"
  prometheus_endpoint = "https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-01234567-89ab-cdef-0123-456789abcdef/"
  api_id              = "a1b2c3d4e5"
}

run "every_dashboard_file_is_shown" {
  command = plan

  assert {
    condition     = toset(keys(grafana_dashboard.this)) == toset([for file in fileset("../dashboards", "*.json") : trimsuffix(file, ".json")]) && length(grafana_dashboard.this) == 4
    error_message = "Each file of ../dashboards must become a dashboard."
  }
  assert {
    condition     = alltrue([for dashboard in grafana_dashboard.this : dashboard.folder == "msk-ha-cluster"])
    error_message = "They belong into one folder."
  }
}

run "panels_stay_as_they_are_in_grafana_of_ones_own" {
  command = plan

  variables {
    sigv4 = false
  }

  assert {
    condition     = grafana_data_source.prometheus[0].type == "prometheus" && alltrue([for name, dashboard in grafana_dashboard.this : jsonencode(jsondecode(dashboard.config_json).panels) == jsonencode(jsondecode(file("../dashboards/${name}.json")).panels)])
    error_message = "Presetting the variables must not touch the panels, and Grafana's own source serves a Prometheus that takes unsigned queries."
  }
}

run "signed_queries_go_through_the_plug_in_that_signs" {
  command = plan

  assert {
    condition     = grafana_data_source.prometheus[0].type == "grafana-amazonprometheus-datasource"
    error_message = "Grafana's own Prometheus source signs no queries from Amazon Managed Grafana 12 on: AWS answers 403."
  }
  # Whatever names a source names one of that type: panels, targets, variables, and the list that offers the sources.
  assert {
    condition     = alltrue([for dashboard in grafana_dashboard.this : length(regexall("\"(type|query)\":\"prometheus\"", dashboard.config_json)) == 0])
    error_message = "A panel or a variable still asks for a source of type prometheus: it would be empty."
  }
  assert {
    condition = alltrue([for name, dashboard in grafana_dashboard.this :
      length(regexall("\"type\":\"grafana-amazonprometheus-datasource\"", dashboard.config_json)) == length(regexall("\"type\":\"prometheus\"", jsonencode(jsondecode(file("../dashboards/${name}.json"))))) &&
    [for variable in jsondecode(dashboard.config_json).templating.list : variable.query if variable.name == "prometheus"] == ["grafana-amazonprometheus-datasource"]])
    error_message = "Each source of type prometheus must become the other, and the dashboard's variable must offer those."
  }
  assert {
    condition     = replace(jsonencode(jsondecode(grafana_dashboard.this["lag"].config_json).panels), "grafana-amazonprometheus-datasource", "prometheus") == jsonencode(jsondecode(file("../dashboards/lag.json")).panels)
    error_message = "Nothing else of the panels may change."
  }
}

run "dashboards_open_on_this_installation" {
  command = plan

  assert {
    condition = { for variable in jsondecode(grafana_dashboard.this["producer"].config_json).templating.list : variable.name => variable.current.value if contains(["prometheus", "cloudwatch", "name", "namespace", "api_id"], variable.name) } == {
      prometheus = "msk-ha-cluster-prometheus", cloudwatch = "msk-ha-cluster-cloudwatch", name = "msk-ha-cluster", namespace = "msk-ha-cluster", api_id = "a1b2c3d4e5"
    }
    error_message = "Data sources, function names, namespace and API must be chosen already."
  }
}

# The main stack's output, as `terraform output -json consumers` prints it.
run "each_consumer_has_its_dashboard" {
  command = plan

  variables {
    consumers = {
      consumer   = { metrics_namespace = "msk-ha-cluster", function_name = "msk-ha-cluster-consumer", dead_letter_topics = {} }
      projection = { metrics_namespace = "msk-ha-cluster/projection", function_name = "msk-ha-cluster-projection", dead_letter_topics = { orders = "orders.dlq" } }
    }
  }

  assert {
    condition     = toset(keys(grafana_dashboard.this)) == toset(["consumer", "consumer-projection", "lag", "msk-overview", "producer"])
    error_message = "Each consumer must have a dashboard."
  }
  assert {
    condition     = { for key, dashboard in grafana_dashboard.this : key => one([for variable in jsondecode(dashboard.config_json).templating.list : variable.current.value if variable.name == "namespace"]) if startswith(key, "consumer") } == { consumer = "msk-ha-cluster", consumer-projection = "msk-ha-cluster/projection" }
    error_message = "A consumer's own metrics are in its own namespace."
  }
  assert {
    condition     = { for key, dashboard in grafana_dashboard.this : key => join(",", distinct(flatten(regexall("\"FunctionName\":\"([^\"]*)\"", dashboard.config_json)))) if startswith(key, "consumer") } == { consumer = "$name-consumer", consumer-projection = "$name-projection" }
    error_message = "Lambda's metrics must be those of the consumer's own function."
  }
  assert {
    condition     = length(distinct([for dashboard in grafana_dashboard.this : jsondecode(dashboard.config_json).uid])) == length(grafana_dashboard.this) && length(distinct([for dashboard in grafana_dashboard.this : jsondecode(dashboard.config_json).title])) == length(grafana_dashboard.this)
    error_message = "Two dashboards of one uid or title would overwrite each other."
  }
}

run "without_the_entry_consumer_it_has_no_dashboard" {
  command = plan

  variables {
    consumers = { a-name-that-has-30-characters- = {} }
  }

  assert {
    condition     = toset(keys(grafana_dashboard.this)) == toset(["consumer-a-name-that-has-30-characters-", "lag", "msk-overview", "producer"])
    error_message = "Only consumers that exist may have a dashboard."
  }
  assert {
    condition     = alltrue([for dashboard in grafana_dashboard.this : length(jsondecode(dashboard.config_json).uid) <= 40])
    error_message = "Grafana takes uids of at most 40 characters."
  }
}

run "queries_are_signed" {
  command = plan

  assert {
    condition     = jsondecode(grafana_data_source.prometheus[0].json_data_encoded).sigV4Auth && jsondecode(grafana_data_source.prometheus[0].json_data_encoded).sigV4Region == "us-east-1"
    error_message = "Amazon Managed Service for Prometheus takes signed queries only."
  }
  assert {
    condition     = grafana_data_source.prometheus[0].secure_json_data_encoded == null && grafana_data_source.cloudwatch.secure_json_data_encoded == null
    error_message = "Data sources use the workspace's role, never keys."
  }
  assert {
    condition     = jsondecode(grafana_data_source.prometheus[0].json_data_encoded).sigV4AuthType == "ec2_iam_role" && jsondecode(grafana_data_source.cloudwatch.json_data_encoded).authType == "ec2_iam_role"
    error_message = "A workspace has its role, and knows no other way."
  }
}

run "grafana_of_ones_own_uses_what_the_sdk_finds" {
  command = plan

  variables {
    aws_auth = "default"
  }

  assert {
    condition     = jsondecode(grafana_data_source.prometheus[0].json_data_encoded).sigV4AuthType == "default" && jsondecode(grafana_data_source.cloudwatch.json_data_encoded).authType == "default"
    error_message = "Both data sources must take the credentials that the SDK finds, such as a profile."
  }
}

run "refuses_keys" {
  command = plan

  variables {
    aws_auth = "keys"
  }

  expect_failures = [var.aws_auth]
}

run "works_without_prometheus" {
  command = plan

  variables {
    prometheus_endpoint = null
  }

  assert {
    condition     = length(grafana_data_source.prometheus) == 0 && length(grafana_dashboard.this) == 4
    error_message = "With metrics_backend = none the CloudWatch panels must still be there."
  }
}

run "refuses_an_address_without_scheme" {
  command = plan

  variables {
    grafana_url = "g-0123456789.grafana-workspace.us-east-1.amazonaws.com"
  }

  expect_failures = [var.grafana_url]
}
