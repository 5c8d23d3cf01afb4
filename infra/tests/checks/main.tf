# Reads dashboards, rules, the alarm table and the runbooks, and lists what does not fit together. No provider: the
# tests in monitoring_dashboards.tftest.hcl assert that each list is empty, so a failure names the culprits.

locals {
  root       = "${path.module}/../.."
  dashboards = { for file in fileset("${local.root}/dashboards", "*.json") : file => jsondecode(file("${local.root}/dashboards/${file}")) }
  rule_text  = { for file in fileset("${local.root}/rules", "*.yaml") : file => file("${local.root}/rules/${file}") }
  rules      = flatten([for text in values(local.rule_text) : [for group in yamldecode(text).groups : group.rules]])
  alerts     = [for rule in local.rules : rule if can(rule.alert)]

  panels  = flatten([for file, dashboard in local.dashboards : [for panel in dashboard.panels : merge(panel, { file = file })]])
  targets = flatten([for panel in local.panels : [for target in lookup(panel, "targets", []) : merge(target, { where = "${panel.file}: ${panel.title}" })]])
  queries = concat([for target in local.targets : { where = target.where, expr = target.expr } if can(target.expr)], [for rule in local.rules : { where = try(rule.alert, rule.record), expr = rule.expr }])

  # --- Prometheus ---
  known        = jsondecode(file("${path.module}/../data/prometheus-metrics.json"))
  known_names  = merge(local.known.jmx, local.known.msk)
  known_series = toset(concat(keys(local.known_names), local.known.node))
  used_series  = flatten([for query in local.queries : [for name in distinct(regexall("\\b(?:kafka|java_lang|node)_[A-Za-z0-9_]+", query.expr)) : { where = query.where, name = name }]])
  used_names   = flatten([for query in local.queries : [for pair in regexall("\\b((?:kafka|java_lang)_[A-Za-z0-9_]+)\\{[^}]*\\bname=\"([^\"]+)\"", query.expr) : { where = query.where, metric = pair[0], name = pair[1] }]])
  recorded     = [for rule in local.rules : rule.record if can(rule.record)]
  kept         = yamldecode(file("${local.root}/templates/metric-relabel.yaml"))[0].regex

  # --- CloudWatch ---
  published = jsondecode(file("${path.module}/../data/cloudwatch-metrics.json"))
  emitted   = jsondecode(file("${path.module}/../data/function-metrics.json"))

  sources = { for service in ["producer", "consumer"] : service => join("\n", [for file in fileset("${local.root}/../functions/${service}/src", "**/*.rs") : file("${local.root}/../functions/${service}/src/${file}")]) }

  # --- Runbooks: GitHub makes an anchor of a heading in lower case, with hyphens for blanks ---
  runbook_lines = split("\n", file("${local.root}/../docs/RUNBOOKS.md"))
  sections      = [for line in local.runbook_lines : replace(replace(lower(trimprefix(line, "## ")), "/[^a-z0-9 -]/", ""), " ", "-") if startswith(line, "## ")]
  alarm_text    = join("\n", [for file in sort(fileset(local.root, "alarms*.tf")) : file("${local.root}/${file}")])
  # Severity and section of everything that tells people: rows of the table, composite alarms, events, Prometheus alerts.
  told = concat(
    [for pair in regexall("severity\\s*=\\s*\"(page|ticket)\"[^\n]*?runbook\\s*=\\s*\"([a-z0-9-]+)\"", local.alarm_text) : { severity = pair[0], section = pair[1] }],
    [for alert in local.alerts : { severity = alert.labels.severity, section = try(regex("#([a-z0-9-]+)$", alert.annotations.runbook)[0], "") }],
  )
  linked = distinct(concat(local.told[*].section, flatten(regexall("runbook\\s*=\\s*\"([a-z0-9-]+)\"", local.alarm_text))))
  # Each section's text, by its anchor.
  section_text = { for text in slice(split("\n## ", join("\n", local.runbook_lines)), 1, length(local.sections) + 1) : replace(replace(lower(split("\n", text)[0]), "/[^a-z0-9 -]/", ""), " ", "-") => text }
  wakes        = { for section, text in local.section_text : section => try(regex("\\*\\*Wake someone\\.\\*\\* (At once|No)[.:,]", text)[0], "nothing") }
  twins        = flatten(regexall("twin\\s*=\\s*\"([A-Za-z]+)\"", local.alarm_text))
}

output "dashboard_uids" {
  value = sort([for dashboard in values(local.dashboards) : dashboard.uid])
}

output "panels_out_of_shape" {
  value = [for panel in local.panels : "${panel.file}: ${panel.title}" if panel.title == "" || panel.gridPos.x + panel.gridPos.w > 24 || (panel.type != "row" && length(lookup(panel, "targets", [])) == 0)]
}

output "panels_over_each_other" {
  value = [for file, dashboard in local.dashboards : file if length(distinct([for panel in dashboard.panels : panel.id])) < length(dashboard.panels) || length(distinct([for panel in dashboard.panels : "${panel.gridPos.x},${panel.gridPos.y}"])) < length(dashboard.panels)]
}

output "fixed_data_sources" {
  value = [for target in local.targets : target.where if !contains(["$${prometheus}", "$${cloudwatch}"], target.datasource.uid)]
}

output "unknown_prometheus_metrics" {
  value = [for use in local.used_series : "${use.where}: ${use.name}" if !contains(local.known_series, use.name)]
}

output "unknown_metric_names" {
  description = "MSK's exporter puts most of a metric's meaning into its label name."
  value       = [for use in local.used_names : "${use.where}: ${use.metric}{name=\"${use.name}\"}" if !contains(lookup(local.known_names, use.metric, []), use.name)]
}

output "unknown_recording_rules" {
  value = flatten([for query in local.queries : [for name in distinct(regexall("\\bcluster[a-z_]*:[a-z_]+:[a-z0-9]+", query.expr)) : "${query.where}: ${name}" if !contains(local.recorded, name)]])
}

output "counted_twice" {
  description = "A broker's total and its topics are series of the same metric."
  value       = flatten([for query in local.queries : [for selector in regexall("kafka_server_BrokerTopicMetrics_[A-Za-z]+\\{[^}]*\\}", query.expr) : "${query.where}: ${selector}" if !strcontains(selector, "topic")]])
}

output "dropped_metrics" {
  value = [for use in local.used_series : "${use.where}: ${use.name}" if !can(regex("^(?:${local.kept})$", use.name))]
}

output "exporter_dependent_names" {
  description = "Exporters older than 1.0 call attributes ..._total that newer ones call without."
  value       = [for use in local.used_series : "${use.where}: ${use.name}" if startswith(use.name, "kafka_") && endswith(use.name, "_total")]
}

output "unknown_cloudwatch_metrics" {
  value = [for target in local.targets : "${target.where}: ${target.namespace} ${target.metricName}" if can(target.metricName) && !try(
    target.namespace == "$namespace" ? contains(local.emitted[target.dimensions.service], target.metricName) && contains(target.metricName == "RecordsFailed" ? ["service", "error_code,service"] : ["service"], join(",", keys(target.dimensions))) :
    contains([for dimensions in local.published[target.namespace][target.metricName].dimensions : join(",", sort(dimensions))], join(",", keys(target.dimensions))),
  false)]
}

output "metrics_that_no_function_writes" {
  value = flatten([for service, source in local.sources : [for name in local.emitted[service] : "${service}: ${name}" if !strcontains(source, "\"${name}\"")]])
}

output "incomplete_alerts" {
  value = [for alert in local.alerts : alert.alert if !try(contains(["page", "ticket"], alert.labels.severity) && can(regex("^[0-9]+m$", alert.for)) && length(alert.annotations.summary) > 20 && startswith(alert.annotations.runbook, "$${runbook_url}#"), false)]
}

output "missing_runbooks" {
  value = [for anchor in local.linked : anchor if !contains(local.sections, anchor)]
}

output "unlinked_runbooks" {
  value = [for section in local.sections : section if !contains(concat(local.linked, ["how-to-use-this-page"]), section)]
}

output "severities_that_disagree" {
  description = "Whoever is woken must find that it was meant, and nobody may be told to sleep on what is lost meanwhile."
  value       = distinct([for it in local.told : "${it.severity}: ${it.section}" if lookup(local.wakes, it.section, "nothing") != (it.severity == "page" ? "At once" : "No")])
}

output "how_many_are_told" {
  value = { for severity in ["page", "ticket"] : severity => length([for it in local.told : it if it.severity == severity]) }
}

output "sections_without_command" {
  value = [for section, text in local.section_text : section if !strcontains(text, "```sh\n")]
}

output "twins_that_do_not_exist" {
  description = "A row that leaves its condition to an alert must name one, or nobody tells it."
  value       = setsubtract(local.twins, local.alerts[*].alert)
}
