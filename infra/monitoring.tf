# Prometheus metrics of the brokers: a workspace, what fills it (the agentless scraper, or Prometheus on the bastion),
# recording and alert rules, and the way from an alert to the alarm topic. The Grafana workspace that shows it.

locals {
  has_prometheus = var.metrics_backend != "none"

  broker_hosts = [for id in local.broker_ids : "b-${id}.${local.broker_domain}"]

  # KRaft controllers have a JMX exporter too, under names that only `aws kafka list-nodes` tells.
  scrape_targets = [
    for target in [
      { job = "msk-jmx", hosts = local.broker_hosts, port = local.ports.jmx_exporter.port },
      { job = "msk-node", hosts = local.broker_hosts, port = local.ports.node_exporter.port },
      { job = "msk-controllers", hosts = var.kraft_controller_endpoints, port = local.ports.jmx_exporter.port },
    ] : target if length(target.hosts) > 0
  ]

  # Names one by one, and not the cluster's: only so does each target know which broker it is.
  # https://docs.aws.amazon.com/prometheus/latest/userguide/prom-msk-integration.html
  prometheus_config = {
    global = {
      scrape_interval = "${var.scrape_interval_seconds}s"
      scrape_timeout  = "${min(30, var.scrape_interval_seconds)}s"
    }
    scrape_configs = [
      for target in local.scrape_targets : {
        job_name       = target.job
        metrics_path   = "/metrics"
        scheme         = "http"
        dns_sd_configs = [{ names = target.hosts, type = "A", port = target.port }]
        relabel_configs = [
          { target_label = "cluster", replacement = local.cluster_name },
          { source_labels = ["__meta_dns_name"], regex = "[a-z]-([0-9]+)\\..*", target_label = "broker", replacement = "$1" },
        ]
        metric_relabel_configs = yamldecode(file("${path.module}/templates/metric-relabel.yaml"))
      }
    ]
  }

  # Prometheus on the bastion signs with the bastion's role and keeps only hours itself.
  bastion_prometheus_config = var.metrics_backend != "bastion" ? "" : yamlencode(merge(local.prometheus_config, {
    remote_write = [{
      url          = "${aws_prometheus_workspace.this[0].prometheus_endpoint}api/v1/remote_write"
      sigv4        = { region = var.region }
      queue_config = { max_samples_per_send = 1000, max_shards = 50, capacity = 2500 }
    }]
  }))

  prometheus_port = 9090

  # Appended to the bastion's set-up (bastion.tf).
  bastion_prometheus_script = var.metrics_backend != "bastion" ? "" : templatefile("${path.module}/templates/bastion-prometheus.sh.tftpl", {
    config = local.bastion_prometheus_config
    image  = var.bastion_prometheus_image
    login  = local.bastion_logins.prometheus
    port   = local.prometheus_port
  })
}

# ----------------------------------------------------------------------------
# Workspace
# ----------------------------------------------------------------------------

# AWS asks for this prefix: log groups under it need no resource policy of their own.
resource "aws_cloudwatch_log_group" "prometheus" {
  count = local.has_prometheus ? 1 : 0

  name              = "/aws/vendedlogs/prometheus/${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.this.arn
}

resource "aws_prometheus_workspace" "this" {
  count = local.has_prometheus ? 1 : 0

  alias       = local.name
  kms_key_arn = aws_kms_key.this.arn

  # Where failing rules and undeliverable alerts explain themselves.
  logging_configuration {
    log_group_arn = "${aws_cloudwatch_log_group.prometheus[0].arn}:*"
  }

  # The scraper adds this tag by itself; without it here every plan would take it away again.
  tags = var.metrics_backend == "amp" ? { AMPAgentlessScraper = "" } : {}
}

# ----------------------------------------------------------------------------
# What fills it
# ----------------------------------------------------------------------------

resource "aws_prometheus_scraper" "this" {
  count = var.metrics_backend == "amp" ? 1 : 0

  alias                = local.name
  scrape_configuration = yamlencode(local.prometheus_config)

  source {
    vpc {
      security_group_ids = [aws_security_group.this["scraper"].id]
      subnet_ids         = local.private_subnet_ids
    }
  }

  destination {
    amp {
      workspace_arn = aws_prometheus_workspace.this[0].arn
    }
  }

  timeouts {
    create = "60m" # half an hour is usual
  }
}

resource "aws_iam_role_policy" "bastion_metrics" {
  count = var.metrics_backend == "bastion" ? 1 : 0

  name = "write-metrics"
  role = aws_iam_role.bastion[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "SendMetrics"
      Effect   = "Allow"
      Action   = ["aps:RemoteWrite"]
      Resource = aws_prometheus_workspace.this[0].arn
    }]
  })
}

# ----------------------------------------------------------------------------
# Rules and alerts
# ----------------------------------------------------------------------------

locals {
  # ${...} in rules/*.yaml.
  rule_limits = {
    time_lag_seconds = var.consumer_lag_limits.time_lag_seconds
    cpu_ratio        = var.alarm_limits.cpu_percent / 100
    disk_ratio       = var.alarm_limits.disk_percent / 100
    own_groups       = join("|", [for group in sort(distinct([for it in values(local.readings) : it.group])) : replace(group, ".", "[.]")])
    runbook_url      = var.runbook_url
  }

  # Express brokers lack the metrics of standard-brokers.yaml, and standard ones have better than express-brokers.yaml.
  rule_files = [for file in sort(fileset("${path.module}/rules", "*.yaml")) : file if file != (local.is_express ? "standard-brokers.yaml" : "express-brokers.yaml")]

  # One for each topic that an alert of that severity goes to. Prometheus may be told nothing but the topic's own region.
  alert_targets = { for severity in ["ticket", "page"] : severity => [for arn in local.alarm_targets[severity] : {
    topic_arn     = arn
    sigv4         = { region = split(":", arn)[3] }
    send_resolved = true
    subject       = "{{ .Status }}: {{ .CommonLabels.alertname }} ({{ .CommonLabels.severity }})"
    message       = "{{ range .Alerts }}[{{ .Labels.severity }}] {{ .Annotations.summary }} Runbook: {{ .Annotations.runbook }}\n{{ end }}"
  }] }
}

resource "aws_prometheus_rule_group_namespace" "this" {
  for_each = toset(local.has_prometheus ? [for file in local.rule_files : trimsuffix(file, ".yaml")] : [])

  name         = each.key
  workspace_id = aws_prometheus_workspace.this[0].id
  data         = templatefile("${path.module}/rules/${each.key}.yaml", local.rule_limits)
}

# Alerts of one cluster arrive together, and again every four hours while they last; a page reaches every paging topic.
resource "aws_prometheus_alert_manager_definition" "this" {
  count = local.has_prometheus ? 1 : 0

  workspace_id = aws_prometheus_workspace.this[0].id
  definition = yamlencode({
    alertmanager_config = yamlencode({
      route = {
        receiver        = "ticket"
        group_by        = ["alertname", "cluster"]
        group_wait      = "30s"
        group_interval  = "5m"
        repeat_interval = "4h"
        routes          = [{ matchers = ["severity = page"], receiver = "page" }]
      }
      receivers = [for severity, targets in local.alert_targets : { name = severity, sns_configs = targets }]
      # The cause is told once: what follows from it stays quiet. No time intervals: MSK's maintenance keeps no calendar, so
      # the rules themselves know a restart (rules/standard-brokers.yaml).
      inhibit_rules = [{
        source_matchers = ["alertname =~ MskBrokersUnreachable|MskBrokerUnreachable"]
        target_matchers = ["alertname =~ MskUnderReplicatedPartitions|MskBrokerCpuHigh|MskProduceRequestsFail"]
        equal           = ["cluster"]
      }]
    })
  })

  depends_on = [aws_sns_topic_policy.alarms]

  lifecycle {
    precondition {
      # https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-alert-manager.html
      condition     = alltrue([for arn in var.paging_topic_arns : split(":", arn)[4] == local.account_id])
      error_message = "paging_topic_arns: Prometheus alerts reach topics of this account (${local.account_id}) only. Make a topic here and subscribe the on-call tool to it, or set metrics_backend = \"none\"."
    }
  }
}

# ----------------------------------------------------------------------------
# Grafana workspace (grafana-setup.tf lets the stack in grafana/ into it)
# ----------------------------------------------------------------------------

resource "aws_iam_role" "grafana" {
  count = var.enable_managed_grafana ? 1 : 0

  name                 = "${local.name}-grafana"
  description          = "Grafana workspace: reads metrics, nothing else"
  permissions_boundary = var.permissions_boundary_arn
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "grafana.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account_id }
        StringLike   = { "aws:SourceArn" = "arn:${local.partition}:grafana:${var.region}:${local.account_id}:/workspaces/*" }
      }
    }]
  })
}

# CloudWatch's and EC2's read calls have no resource level.
# https://docs.aws.amazon.com/grafana/latest/userguide/AMG-manage-permissions.html
resource "aws_iam_role_policy" "grafana" {
  count = var.enable_managed_grafana ? 1 : 0

  name = "read-metrics"
  role = aws_iam_role.grafana[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "CloudWatch"
          Effect   = "Allow"
          Action   = ["cloudwatch:DescribeAlarms", "cloudwatch:DescribeAlarmsForMetric", "cloudwatch:GetMetricData", "cloudwatch:ListMetrics"]
          Resource = "*"
        },
        {
          Sid      = "ListPrometheusWorkspaces"
          Effect   = "Allow"
          Action   = ["aps:ListWorkspaces"]
          Resource = "*"
        },
      ],
      [for workspace in aws_prometheus_workspace.this : {
        Sid      = "Prometheus"
        Effect   = "Allow"
        Action   = ["aps:DescribeWorkspace", "aps:GetLabels", "aps:GetMetricMetadata", "aps:GetSeries", "aps:QueryMetrics"]
        Resource = workspace.arn
      }],
    )
  })
}

resource "aws_grafana_workspace" "this" {
  count = var.enable_managed_grafana ? 1 : 0

  name                     = local.name
  description              = "Dashboards of ${local.name}"
  account_access_type      = "CURRENT_ACCOUNT"
  authentication_providers = var.grafana.authentication_providers
  permission_type          = "CUSTOMER_MANAGED"
  role_arn                 = aws_iam_role.grafana[0].arn
  grafana_version          = var.grafana.version
  data_sources             = concat(["CLOUDWATCH"], local.has_prometheus ? ["PROMETHEUS"] : [])

  # One alerting system is enough: the rules above.
  configuration = jsonencode({
    plugins         = { pluginAdminEnabled = false }
    unifiedAlerting = { enabled = false }
  })

  depends_on = [aws_iam_role_policy.grafana]
}
