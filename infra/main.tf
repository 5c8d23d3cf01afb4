# VPC, subnets, security groups, and the MSK cluster with its configuration.

# ----------------------------------------------------------------------------
# VPC and subnets
# ----------------------------------------------------------------------------

resource "aws_vpc" "this" {
  count = local.adopts_network ? 0 : 1

  cidr_block           = var.vpc_cidr
  enable_dns_support   = true # broker names resolve inside the VPC only
  enable_dns_hostnames = true
  tags                 = { Name = local.name }
}

# Nothing uses the default group; without rules it lets nothing in or out if something ever does.
resource "aws_default_security_group" "closed" {
  count = local.adopts_network ? 0 : 1

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${local.name}-default-closed" }
}

resource "aws_subnet" "private" {
  for_each = local.adopts_network ? {} : local.private_subnet_cidrs

  vpc_id            = aws_vpc.this[0].id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = { Name = "${local.name}-private-${each.key}" }
}

resource "aws_subnet" "public" {
  for_each = local.adopts_network ? {} : local.public_subnet_cidrs

  vpc_id                  = aws_vpc.this[0].id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false
  tags                    = { Name = "${local.name}-public-${each.key}" }
}

resource "aws_internet_gateway" "this" {
  count = local.adopts_network ? 0 : 1

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = local.name }
}

resource "aws_route_table" "public" {
  count = local.adopts_network ? 0 : 1

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${local.name}-public" }
}

resource "aws_route" "internet" {
  count = local.adopts_network ? 0 : 1

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public[0].id
}

# One table per zone, so that each zone can use the NAT gateway of its own (bastion.tf).
resource "aws_route_table" "private" {
  for_each = aws_subnet.private

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${local.name}-private-${each.key}" }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

# ----------------------------------------------------------------------------
# Flow logs
# ----------------------------------------------------------------------------

resource "aws_flow_log" "this" {
  count = local.adopts_network ? 0 : 1

  vpc_id          = aws_vpc.this[0].id
  traffic_type    = "ALL"
  iam_role_arn    = aws_iam_role.flow_log[0].arn
  log_destination = aws_cloudwatch_log_group.this["flow_log"].arn
  tags            = { Name = local.name }

  # A flow log that starts without its rights says "Access error" in the console, and nothing anywhere else.
  depends_on = [aws_iam_role_policy.flow_log]
}

# ----------------------------------------------------------------------------
# VPC endpoints (instead of NAT)
# ----------------------------------------------------------------------------

locals {
  # Lambda delivers to a queue, a topic or a bucket through an endpoint in the cluster's VPC.
  # https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure.html
  endpoint_services = toset(local.adopts_network ? [] : concat(
    var.use_vpc_endpoints ? ["lambda", "sts", "logs"] : [],
    var.use_vpc_endpoints && var.enable_bastion ? ["ssm", "ssmmessages", "ec2messages", "ecr.api", "ecr.dkr"] : [],
    var.use_vpc_endpoints && var.enable_bastion && var.metrics_backend == "bastion" ? ["aps-workspaces"] : [],
    [for service in local.failure_services : service if service != "s3"],
  ))
  has_s3_endpoint = !local.adopts_network && (var.use_vpc_endpoints || contains(local.failure_services, "s3"))

  # In China the names of some begin with cn.com.amazonaws; the provider's data source puts com.amazonaws before all.
  # Read on 2026-11-28 from VPC_ENDPOINT_SERVICE_EXCEPTIONS in https://github.com/aws/aws-cdk/blob/main/packages/aws-cdk-lib/aws-ec2/lib/vpc-endpoint.ts
  endpoint_services_of_china = ["ecr.api", "ecr.dkr", "lambda", "sqs", "sts"]
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.endpoint_services

  vpc_id              = local.vpc_id
  service_name        = "${startswith(var.region, "cn-") && contains(local.endpoint_services_of_china, each.key) ? "cn." : ""}com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = local.private_subnet_ids
  security_group_ids  = [aws_security_group.this["endpoints"].id]
  tags                = { Name = "${local.name}-${each.key}" }
}

# Free of charge; the bastion's packages and ECR's image layers come from S3.
resource "aws_vpc_endpoint" "s3" {
  count = local.has_s3_endpoint ? 1 : 0

  vpc_id            = local.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]
  tags              = { Name = "${local.name}-s3" }
}

# ----------------------------------------------------------------------------
# Security groups: every rule comes from local.flows and local.ports
# ----------------------------------------------------------------------------

resource "aws_security_group" "this" {
  for_each = local.security_groups

  name_prefix = "${local.name}-${each.key}-"
  description = each.value
  vpc_id      = local.vpc_id
  tags        = { Name = "${local.name}-${each.key}" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = { for key, flow in local.open_flows : key => flow if !contains(["internet", "s3"], flow.to) }

  security_group_id            = local.security_group_ids[each.value.to]
  referenced_security_group_id = local.security_group_ids[each.value.from]
  ip_protocol                  = "tcp"
  from_port                    = local.ports[each.value.port].port
  to_port                      = local.ports[each.value.port].port
  description                  = "${local.ports[each.value.port].label} from ${each.value.from}"
  tags                         = { Name = each.key }
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each = local.open_flows

  security_group_id            = local.security_group_ids[each.value.from]
  referenced_security_group_id = contains(["internet", "s3"], each.value.to) ? null : local.security_group_ids[each.value.to]
  cidr_ipv4                    = each.value.to == "internet" ? "0.0.0.0/0" : null
  prefix_list_id               = each.value.to == "s3" ? aws_vpc_endpoint.s3[0].prefix_list_id : null
  ip_protocol                  = "tcp"
  from_port                    = local.ports[each.value.port].port
  to_port                      = local.ports[each.value.port].port
  description                  = "${local.ports[each.value.port].label} to ${each.value.to}"
  tags                         = { Name = each.key }
}

# ----------------------------------------------------------------------------
# Cluster
# ----------------------------------------------------------------------------

resource "aws_msk_configuration" "this" {
  count = local.adopts_cluster ? 0 : 1

  name        = local.name
  description = "Highly available settings of ${local.name}"
  # One key=value per line; kafka_versions stays unset, because it would force a new configuration on each upgrade.
  server_properties = join("\n", [for key, value in local.server_properties : "${key}=${value}"])

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_msk_cluster" "this" {
  count = local.adopts_cluster ? 0 : 1

  cluster_name           = local.name
  kafka_version          = var.kafka_version
  number_of_broker_nodes = var.broker_count
  enhanced_monitoring    = var.enhanced_monitoring

  broker_node_group_info {
    instance_type   = local.broker_instance_type
    client_subnets  = local.private_subnet_ids
    security_groups = [local.broker_security_group_id]

    connectivity_info {
      public_access {
        type = "DISABLED"
      }
    }

    # Express brokers have no volumes to size.
    dynamic "storage_info" {
      for_each = local.is_express ? [] : [var.storage]

      content {
        ebs_storage_info {
          volume_size = storage_info.value.size_gib

          dynamic "provisioned_throughput" {
            for_each = storage_info.value.provisioned_throughput == null ? [] : [storage_info.value.provisioned_throughput]

            content {
              enabled           = true
              volume_throughput = provisioned_throughput.value
            }
          }
        }
      }
    }
  }

  client_authentication {
    unauthenticated = false

    sasl {
      iam   = true
      scram = var.client_authentication.scram
    }

    dynamic "tls" {
      for_each = length(var.client_authentication.certificate_authority_arns) > 0 ? [var.client_authentication.certificate_authority_arns] : []

      content {
        certificate_authority_arns = tls.value
      }
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.this[0].arn
    revision = aws_msk_configuration.this[0].latest_revision
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = aws_kms_key.this.arn

    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  open_monitoring {
    prometheus {
      jmx_exporter {
        enabled_in_broker = true
      }
      node_exporter {
        enabled_in_broker = true
      }
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.this["brokers"].name
      }
    }
  }

  # Express clusters move partitions by themselves when brokers are added or one runs hot.
  dynamic "rebalancing" {
    for_each = local.is_express ? ["ACTIVE"] : []

    content {
      status = rebalancing.value
    }
  }

  timeouts {
    create = "120m"
    update = "720m" # a rolling upgrade takes 10 to 15 minutes a broker
    delete = "120m"
  }

  lifecycle {
    prevent_destroy = true

    # Autoscaling grows the volumes, and they never shrink: a plan must not try to set the first size again.
    # docs/UPGRADE.md shows how to grow them by hand.
    ignore_changes = [broker_node_group_info[0].storage_info[0].ebs_storage_info[0].volume_size]

    precondition {
      condition     = length(local.zones) == 3
      error_message = "The private subnets must be in three different availability zones; these are in ${join(", ", local.zones)}."
    }
  }
}

resource "aws_msk_scram_secret_association" "this" {
  count = !local.adopts_cluster && length(var.client_authentication.scram_secret_arns) > 0 ? 1 : 0

  cluster_arn     = local.cluster_arn
  secret_arn_list = var.client_authentication.scram_secret_arns
}

# ----------------------------------------------------------------------------
# Storage that grows by itself
# ----------------------------------------------------------------------------

resource "aws_appautoscaling_target" "storage" {
  count = !local.adopts_cluster && !local.is_express && var.storage.autoscaling ? 1 : 0

  service_namespace  = "kafka"
  scalable_dimension = "kafka:broker-storage:VolumeSize"
  resource_id        = local.cluster_arn
  min_capacity       = 1
  max_capacity       = var.storage.max_size_gib
}

resource "aws_appautoscaling_policy" "storage" {
  count = length(aws_appautoscaling_target.storage)

  name               = "${local.name}-broker-storage"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.storage[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.storage[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.storage[0].resource_id

  target_tracking_scaling_policy_configuration {
    disable_scale_in = true # volumes cannot shrink
    target_value     = var.storage.target_percent

    predefined_metric_specification {
      predefined_metric_type = "KafkaBrokerStorageUtilization"
    }
  }
}
