# Dashboards: valid, and every metric in them exists.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

run "grafana_dashboards" {
  command = plan

  module {
    source = "./tests/checks"
  }

  assert {
    condition     = join(",", output.dashboard_uids) == "msk-consumer,msk-lag,msk-overview,msk-producer"
    error_message = "Each dashboard must be JSON with a uid of its own."
  }
  assert {
    condition     = length(output.panels_out_of_shape) == 0
    error_message = "Each panel needs a title, a query, and a place on the grid of 24 columns: ${join(", ", output.panels_out_of_shape)}."
  }
  assert {
    condition     = length(output.panels_over_each_other) == 0
    error_message = "Panels need ids and places of their own: ${join(", ", output.panels_over_each_other)}."
  }
  assert {
    condition     = length(output.fixed_data_sources) == 0
    error_message = "Data sources must be variables: their ids differ from one Grafana to the next: ${join(", ", output.fixed_data_sources)}."
  }
}

run "prometheus_metrics_exist" {
  command = plan

  module {
    source = "./tests/checks"
  }

  assert {
    condition     = length(output.unknown_prometheus_metrics) == 0
    error_message = "A panel or rule uses a metric that no broker has: ${join(", ", output.unknown_prometheus_metrics)}."
  }
  assert {
    condition     = length(output.unknown_metric_names) == 0
    error_message = "A panel or rule asks a metric for a name that it does not have: ${join(", ", output.unknown_metric_names)}."
  }
  assert {
    condition     = length(output.unknown_recording_rules) == 0
    error_message = "A panel or rule uses a recording rule that does not exist: ${join(", ", output.unknown_recording_rules)}."
  }
  assert {
    condition     = length(output.counted_twice) == 0
    error_message = "BrokerTopicMetrics must say whether it means the total (topic=\"\") or the topics: ${join(", ", output.counted_twice)}."
  }
  assert {
    condition     = length(output.dropped_metrics) == 0
    error_message = "templates/metric-relabel.yaml drops what a panel or rule uses: ${join(", ", output.dropped_metrics)}."
  }
  assert {
    condition     = length(output.exporter_dependent_names) == 0
    error_message = "MSK's exporter and the newest one disagree on names that end with _total: ${join(", ", output.exporter_dependent_names)}."
  }
}

run "cloudwatch_panels_use_published_metrics" {
  command = plan

  module {
    source = "./tests/checks"
  }

  assert {
    condition     = length(output.unknown_cloudwatch_metrics) == 0
    error_message = "A panel uses a CloudWatch metric or dimensions that do not exist: ${join(", ", output.unknown_cloudwatch_metrics)}."
  }
  assert {
    condition     = length(output.metrics_that_no_function_writes) == 0
    error_message = "Dashboards and alarms rest on metrics that the functions' code does not name: ${join(", ", output.metrics_that_no_function_writes)}."
  }
}

run "every_alert_and_alarm_has_its_runbook" {
  command = plan

  module {
    source = "./tests/checks"
  }

  assert {
    condition     = length(output.incomplete_alerts) == 0
    error_message = "Each alert needs a severity, a time that it must last, a sentence, and its runbook: ${join(", ", output.incomplete_alerts)}."
  }
  assert {
    condition     = length(output.missing_runbooks) == 0
    error_message = "docs/RUNBOOKS.md lacks a section that an alarm or alert links: ${join(", ", output.missing_runbooks)}."
  }
  assert {
    condition     = length(output.unlinked_runbooks) == 0
    error_message = "docs/RUNBOOKS.md has a section that no alarm or alert links: ${join(", ", output.unlinked_runbooks)}."
  }
  assert {
    condition     = length(output.sections_without_command) == 0
    error_message = "Each section of docs/RUNBOOKS.md needs a command to look: ${join(", ", output.sections_without_command)}."
  }
  assert {
    condition     = length(output.twins_that_do_not_exist) == 0
    error_message = "Alarms leave their condition to alerts that are not in rules/: ${join(", ", output.twins_that_do_not_exist)}."
  }
}

run "severities_are_those_of_the_runbooks" {
  command = plan

  module {
    source = "./tests/checks"
  }

  assert {
    condition     = length(output.severities_that_disagree) == 0
    error_message = "Alarms and docs/RUNBOOKS.md disagree on whether someone is woken: ${join(", ", output.severities_that_disagree)}."
  }
  assert {
    condition     = output.how_many_are_told.page >= 10 && output.how_many_are_told.ticket >= 40
    error_message = "The comparison must see the alarms: ${jsonencode(output.how_many_are_told)}."
  }
}

run "cloudwatch_dashboard_on_one_screen" {
  command = plan

  assert {
    condition     = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.x + widget.width <= 24 && widget.y + widget.height <= 18])
    error_message = "24 columns and 18 rows are what fits on a screen."
  }
  assert {
    condition     = [for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : split(":", widget.properties.title)[0] if widget.y == 3] == ["1 · API", "2 · Producer", "3 · Cluster", "4 · Lag", "5 · Consumer"] && join(",", distinct([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.x if widget.y == 3])) == "0,5,10,15,19"
    error_message = "The columns follow a message: API, producer, cluster, lag, consumer."
  }
  assert {
    condition     = length(distinct([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : "${widget.x},${widget.y}"])) == 16
    error_message = "One strip of alarms and five columns of three graphs, none over another."
  }
  assert {
    condition = alltrue(flatten([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [for metric in widget.properties.metrics : metric[0] == "msk-ha-cluster" ?
      contains(jsondecode(file("tests/data/function-metrics.json"))[metric[3]], metric[1]) :
      contains(keys(jsondecode(file("tests/data/cloudwatch-metrics.json"))[metric[0] == "AWS/Kafka" ? "AWS/Kafka/standard" : metric[0]]), metric[1])
    if length(metric) > 1] if widget.type == "metric"]))
    error_message = "A graph shows a metric that does not exist."
  }
}

run "cloudwatch_dashboard_of_express_brokers" {
  command = plan

  variables {
    broker_type = "express"
  }

  assert {
    condition     = alltrue(flatten([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [for metric in widget.properties.metrics : contains(keys(jsondecode(file("tests/data/cloudwatch-metrics.json"))["AWS/Kafka/express"]), metric[1]) if metric[0] == "AWS/Kafka"] if widget.type == "metric"]))
    error_message = "A graph shows a metric that Express brokers do not have."
  }
}
