# Prometheus and Grafana: what is collected by whom, which rules watch it, and where alerts go.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  function_zip_directory = "./tests/fixtures/lambda"
}

run "scraper_reaches_every_broker" {
  command = plan

  variables {
    broker_count = 6
  }

  assert {
    condition     = { for job in yamldecode(aws_prometheus_scraper.this[0].scrape_configuration).scrape_configs : job.job_name => job.dns_sd_configs[0].port } == { "msk-jmx" = 11001, "msk-node" = 11002 }
    error_message = "The JMX exporter listens on 11001, the node exporter on 11002."
  }
  assert {
    condition     = alltrue([for job in yamldecode(aws_prometheus_scraper.this[0].scrape_configuration).scrape_configs : jsonencode(job.dns_sd_configs[0].names) == jsonencode([for id in range(1, 7) : "b-${id}.msk.kafka.us-east-1.amazonaws.com"]) && job.dns_sd_configs[0].type == "A"])
    error_message = "Each broker must be scraped under its own name, also those that the bootstrap string leaves out."
  }
  assert {
    condition     = length(aws_prometheus_scraper.this[0].source[0].vpc[0].subnet_ids) >= 2 && alltrue([for id in aws_prometheus_scraper.this[0].source[0].vpc[0].security_group_ids : id == aws_security_group.this["scraper"].id])
    error_message = "The scraper needs two subnets in two zones, and the security group that the brokers let in."
  }
  assert {
    condition     = aws_prometheus_workspace.this[0].kms_key_arn == aws_kms_key.this.arn && contains(keys(aws_prometheus_workspace.this[0].tags), "AMPAgentlessScraper")
    error_message = "The workspace must use the key of our own, and carry the scraper's tag, or each plan takes it away."
  }
}

run "controllers_are_scraped_once_named" {
  command = plan

  variables {
    kraft_controller_endpoints = ["c-10001.msk.kafka.us-east-1.amazonaws.com", "c-10002.msk.kafka.us-east-1.amazonaws.com", "c-10003.msk.kafka.us-east-1.amazonaws.com"]
  }

  assert {
    condition     = [for job in yamldecode(aws_prometheus_scraper.this[0].scrape_configuration).scrape_configs : length(job.dns_sd_configs[0].names) if job.job_name == "msk-controllers" && job.dns_sd_configs[0].port == 11001] == [3]
    error_message = "Controllers have a JMX exporter too."
  }
}

run "prometheus_on_the_bastion" {
  command = plan

  variables {
    metrics_backend = "bastion"
  }

  assert {
    condition     = length(aws_prometheus_scraper.this) == 0 && length(aws_prometheus_workspace.this) == 1
    error_message = "The bastion takes the scraper's place; the workspace stays."
  }
  assert {
    condition     = yamldecode(local.bastion_prometheus_config).remote_write[0].url == "https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-01234567-89ab-cdef-0123-456789abcdef/api/v1/remote_write" && yamldecode(local.bastion_prometheus_config).remote_write[0].sigv4.region == "us-east-1"
    error_message = "Prometheus must send what it scrapes to the workspace, signed."
  }
  assert {
    condition     = jsonencode(yamldecode(local.bastion_prometheus_config).scrape_configs) == jsonencode(local.prometheus_config.scrape_configs)
    error_message = "Both backends must scrape the same."
  }
  assert {
    condition     = jsonencode([for statement in jsondecode(aws_iam_role_policy.bastion_metrics[0].policy).Statement : [statement.Action, statement.Resource]]) == jsonencode([[["aps:RemoteWrite"], aws_prometheus_workspace.this[0].arn]])
    error_message = "The bastion may write to this workspace, and nothing else."
  }
  assert {
    condition     = strcontains(local.bastion_prometheus_script, "--web.listen-address=127.0.0.1:9090") && length(aws_instance.bastion[0].user_data_base64) * 3 / 4 < 16384
    error_message = "Prometheus must listen on loopback only, and user data ends at 16 KB."
  }
}

run "no_prometheus_when_none_is_wanted" {
  command = plan

  variables {
    metrics_backend = "none"
  }

  assert {
    condition     = length(aws_prometheus_workspace.this) + length(aws_prometheus_scraper.this) + length(aws_prometheus_rule_group_namespace.this) + length(aws_prometheus_alert_manager_definition.this) == 0
    error_message = "Nothing of Prometheus may remain."
  }
  assert {
    condition     = output.amp_workspace_endpoint == null && length([for key in keys(aws_cloudwatch_metric_alarm.this) : key if startswith(key, "prometheus-")]) == 0
    error_message = "Nor may anything point to it."
  }
}

run "rules_and_alerts" {
  command = plan

  variables {
    consumer_lag_limits = { time_lag_seconds = 77 }
    alarm_limits        = { cpu_percent = 51, disk_percent = 72 }
    runbook_url         = "https://example.com/runbooks"
  }

  assert {
    condition     = toset(keys(aws_prometheus_rule_group_namespace.this)) == toset(["cluster", "lag", "recording", "standard-brokers"])
    error_message = "Every file in rules/ must be loaded."
  }
  assert {
    condition     = strcontains(aws_prometheus_rule_group_namespace.this["lag"].data, "> 77\n") && local.every_alarm_row["consumer-lag-time-orders"].threshold == 77
    error_message = "Rules and CloudWatch alarms must use the same limits."
  }
  assert {
    condition     = strcontains(aws_prometheus_rule_group_namespace.this["lag"].data, "groupId!~\"msk-ha-cluster-orders\"")
    error_message = "Our own group's standstill is CloudWatch's to tell: it pages."
  }
  assert {
    condition     = strcontains(aws_prometheus_rule_group_namespace.this["cluster"].data, "ratio5m > 0.51\n") && strcontains(aws_prometheus_rule_group_namespace.this["standard-brokers"].data, ":ratio > 0.72\n")
    error_message = "Rules and CloudWatch alarms must use the same limits of CPU and disk."
  }
  assert {
    condition     = alltrue([for group in flatten([for rules in aws_prometheus_rule_group_namespace.this : yamldecode(rules.data).groups]) : alltrue([for rule in group.rules : startswith(rule.annotations.runbook, "https://example.com/runbooks#") if can(rule.alert)])])
    error_message = "Each alert must link the runbook where people read it."
  }
  assert {
    condition     = [for config in [for receiver in yamldecode(yamldecode(aws_prometheus_alert_manager_definition.this[0].definition).alertmanager_config).receivers : receiver if receiver.name == yamldecode(yamldecode(aws_prometheus_alert_manager_definition.this[0].definition).alertmanager_config).route.receiver][0].sns_configs : config.topic_arn] == [aws_sns_topic.alarms.arn]
    error_message = "Alerts must reach the alarm topic."
  }
}

run "every_page_alert_reaches_every_paging_topic" {
  command = plan

  variables {
    broker_type       = "express"
    paging_topic_arns = ["arn:aws:sns:us-east-1:123456789012:on-call", "arn:aws:sns:us-east-1:123456789012:second"]
  }

  # As Alertmanager does it: the first route whose matchers all fit, else the root's receiver.
  assert {
    condition = alltrue(flatten([for config in [yamldecode(yamldecode(aws_prometheus_alert_manager_definition.this[0].definition).alertmanager_config)] : [
      for rule in flatten([for rules in aws_prometheus_rule_group_namespace.this : [for group in yamldecode(rules.data).groups : [for rule in group.rules : rule if can(rule.alert)]]]) :
      toset(flatten([for receiver in config.receivers : receiver.sns_configs[*].topic_arn if receiver.name == concat([for route in config.route.routes : route.receiver if alltrue([for matcher in route.matchers : matcher == "severity = ${rule.labels.severity}"])], [config.route.receiver])[0]])) ==
      toset(rule.labels.severity == "page" ? ["arn:aws:sns:us-east-1:123456789012:on-call", "arn:aws:sns:us-east-1:123456789012:second", aws_sns_topic.alarms.arn] : [aws_sns_topic.alarms.arn])
    ]]))
    error_message = "Alerts labelled page must reach every paging topic, and tickets none."
  }
  assert {
    condition     = contains(flatten([for rules in aws_prometheus_rule_group_namespace.this : [for group in yamldecode(rules.data).groups : [for rule in group.rules : rule.labels.severity if can(rule.alert)]]]), "page")
    error_message = "Express brokers have an alert that pages."
  }
}

run "express_brokers_get_the_rules_that_fit" {
  command = plan

  variables {
    broker_type = "express"
  }

  assert {
    condition     = toset(keys(aws_prometheus_rule_group_namespace.this)) == toset(["cluster", "express-brokers", "lag", "recording"])
    error_message = "Express brokers have no under-replicated partitions to report."
  }
}

run "no_managed_grafana_unless_asked" {
  command = plan

  assert {
    condition     = length(aws_grafana_workspace.this) + length(aws_grafana_workspace_service_account_token.terraform) + length(aws_iam_role.grafana) == 0 && output.grafana_url == null
    error_message = "The workspace costs money and needs a sign-in that not everyone has."
  }
}

run "managed_grafana_reads_and_nothing_else" {
  command = plan

  variables {
    enable_managed_grafana = true
    grafana                = { admin_group_ids = ["11111111-aaaa"], viewer_user_ids = ["22222222-bbbb"] }
  }

  assert {
    condition     = alltrue([for action in flatten([for statement in jsondecode(aws_iam_role_policy.grafana[0].policy).Statement : statement.Action]) : can(regex("^(cloudwatch|aps):(Describe|Get|List|Query)", action))])
    error_message = "Grafana's role must only read."
  }
  assert {
    condition     = alltrue([for statement in jsondecode(aws_iam_role_policy.grafana[0].policy).Statement : flatten([statement.Resource]) == flatten([aws_prometheus_workspace.this[0].arn]) if contains(statement.Action, "aps:QueryMetrics")])
    error_message = "Metrics of this workspace only."
  }
  assert {
    condition     = toset(keys(aws_grafana_role_association.this)) == toset(["ADMIN", "VIEWER"]) && output.grafana_url == "https://g-0123456789.grafana-workspace.us-east-1.amazonaws.com"
    error_message = "The people named must get in, and the URL must have its scheme."
  }
  assert {
    condition     = aws_grafana_workspace_service_account_token.terraform[0].seconds_to_live <= 2592000 && aws_grafana_workspace.this[0].permission_type == "CUSTOMER_MANAGED"
    error_message = "A token lives 30 days at most."
  }
}

run "managed_grafana_with_an_identity_provider" {
  command = plan

  variables {
    enable_managed_grafana = true
    grafana                = { version = "13.0", authentication_providers = ["SAML"], saml = { idp_metadata_url = "https://idp.example.com/metadata", admin_role_values = ["kafka-admins"] } }
  }

  assert {
    condition     = aws_grafana_workspace_saml_configuration.this[0].admin_role_values == tolist(["kafka-admins"]) && aws_grafana_workspace_saml_configuration.this[0].idp_metadata_url == "https://idp.example.com/metadata"
    error_message = "With SAML the workspace must know the identity provider and its administrators, or nobody gets in."
  }
}

run "refuses_grafana_that_nobody_can_sign_in_to" {
  command = plan

  variables {
    grafana = { authentication_providers = ["SAML"] }
  }

  expect_failures = [var.grafana]
}

run "refuses_identity_center_ids_without_identity_center" {
  command = plan

  variables {
    grafana = { authentication_providers = ["SAML"], saml = { idp_metadata_url = "https://idp.example.com/metadata", admin_role_values = ["a"] }, admin_group_ids = ["g-1"] }
  }

  expect_failures = [var.grafana]
}

run "refuses_grafana_whose_prometheus_source_does_not_sign" {
  command = plan

  variables {
    grafana = { version = "10.4" }
  }

  expect_failures = [var.grafana]
}

run "refuses_grafana_in_regions_without_it" {
  command = plan

  variables {
    region                 = "eu-north-1"
    enable_managed_grafana = true
  }

  expect_failures = [var.enable_managed_grafana]
}

run "takes_grafana_in_regions_with_it" {
  command = plan

  variables {
    region                 = "eu-west-2"
    enable_managed_grafana = true
  }

  assert {
    condition     = length(aws_grafana_workspace.this) == 1
    error_message = "London has Amazon Managed Grafana."
  }
}
