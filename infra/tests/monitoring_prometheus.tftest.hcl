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
    consumer_lag_limits = { time_lag_seconds = 77, partition_offset_lag = 4242 }
    alarm_limits        = { cpu_percent = 51, disk_percent = 72 }
    runbook_url         = "https://example.com/runbooks"
  }

  assert {
    condition     = toset(keys(aws_prometheus_rule_group_namespace.this)) == toset(["cluster", "lag", "recording", "standard-brokers"])
    error_message = "Every file in rules/ must be loaded."
  }
  assert {
    condition     = strcontains(aws_prometheus_rule_group_namespace.this["lag"].data, "> 77\n") && strcontains(aws_prometheus_rule_group_namespace.this["lag"].data, "> 4242\n") && aws_cloudwatch_metric_alarm.this["consumer-lag-time-orders"].threshold == 77
    error_message = "Rules and CloudWatch alarms must use the same limits."
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
    condition     = yamldecode(yamldecode(aws_prometheus_alert_manager_definition.this[0].definition).alertmanager_config).receivers[0].sns_configs[0].topic_arn == aws_sns_topic.alarms.arn && yamldecode(yamldecode(aws_prometheus_alert_manager_definition.this[0].definition).alertmanager_config).route.receiver == "alarms"
    error_message = "Alerts must reach the alarm topic."
  }
}

run "express_brokers_get_the_rules_that_fit" {
  command = plan

  variables {
    broker_type = "express"
  }

  assert {
    condition     = toset(keys(aws_prometheus_rule_group_namespace.this)) == toset(["cluster", "lag", "recording"])
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
