# The cheap set, for development: everything works, and nothing is sized for load. It still has three brokers in three
# zones, replication factor 3 and TLS, so that what works here works in production.
#
#   terraform apply -var-file=examples/dev.tfvars

name = "msk-dev"
tags = { Environment = "dev" }

# The smallest broker. It takes 4 new connections a second, so the functions are held to 6 and 2 environments.
broker_instance_type = "kafka.t3.small"
storage              = { size_gib = 10, autoscaling = false }

# One zone's loss may stop outgoing traffic here.
single_nat_gateway = true

# CloudWatch alarms and the dashboard stay; Prometheus and Grafana cost extra.
metrics_backend = "none"

# No pollers of its own: they are billed by the hour.
esm_mode = "on_demand"

bastion            = { volume_gib = 16 }
log_retention_days = 7

topics = {
  orders = { partitions = 3 }
}

producer  = { memory_mb = 256 }
consumers = { consumer = { memory_mb = 256 } }
