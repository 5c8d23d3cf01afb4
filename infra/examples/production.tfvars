# The strict set, for production. Replace the account id 123456789012, the addresses and the runbook's URL. What these
# lines name must exist before: the boundary policy (each role is refused without it) and the paging topic, whose policy
# docs/03_MONITORING.md shows.
#
#   terraform apply -var-file=examples/production.tfvars

name   = "msk-prod"
region = "us-east-1"
tags   = { Environment = "production", Owner = "messaging", DataClass = "confidential" }

# Named, so that a zone that AWS adds or that your account sees first never moves anything.
availability_zones = ["us-east-1a", "us-east-1b", "us-east-1c"]

# Every role is held inside this policy.
permissions_boundary_arn = "arn:aws:iam::123456789012:policy/service-boundary"

kafka_version        = "3.9.x.kraft"
broker_type          = "standard"
broker_instance_type = "kafka.m7g.xlarge"
broker_count         = 3
storage              = { size_gib = 500, max_size_gib = 4000, target_percent = 60 }
enhanced_monitoring  = "PER_TOPIC_PER_BROKER"

topics = {
  orders   = { partitions = 12, policy = { key = "required", formats = ["json", "cloudevents"] } }
  payments = { partitions = 12, policy = { key = "required", max_record_bytes = 65536 }, config = { "retention.ms" = "1209600000" } }
  audit    = { partitions = 6, consumed = false, config = { "retention.ms" = "31536000000" } }
}

# Pollers of their own, partial batch responses, finite retries, and what was given up goes to the dead-letter topic.
esm_mode = "provisioned"
consumers = {
  consumer = {
    memory_mb           = 1024
    ordering            = "key"
    minimum_pollers     = 1
    maximum_pollers     = 12
    maximum_retries     = 5
    maximum_age_seconds = 86400
  }
}

# Two environments are always warm.
producer = { memory_mb = 1024, provisioned_concurrency = 2 }

# Callers sign with AWS credentials; the limits are this account's agreed load.
api = { authorization = "AWS_IAM", throttling_rate_limit = 1000, throttling_burst_limit = 2000 }

# Private, reached through Session Manager. Set kafka_ui_image_digest to the bytes that you have looked at.
bastion = { instance_type = "t4g.small" }

metrics_backend        = "amp"
enable_managed_grafana = false # true once people can sign in: IAM Identity Center and grafana.admin_group_ids, or grafana.saml
log_retention_days     = 400

alarm_emails      = ["messaging-oncall@example.com"]
paging_topic_arns = ["arn:aws:sns:us-east-1:123456789012:messaging-pager"]
runbook_url       = "https://github.com/example/msk-ha-cluster/blob/main/docs/RUNBOOKS.md"

consumer_lag_limits = { time_lag_seconds = 120 }
