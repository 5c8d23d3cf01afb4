# Copied beside the configuration for the matrix: one output with what the other tools judge.

output "rendered" {
  value = {
    region          = var.region
    cluster_arn     = local.cluster_arn
    produced_topics = sort(keys(local.produced_topics))
    consumed_topics = sort(keys(local.consumed_topics))
    dead_letters    = sort(distinct(values(local.dead_letter_topics)))
    consumer_groups = sort(distinct(values(local.consumer_groups)))

    routes               = sort(keys(aws_apigatewayv2_route.this))
    producer_environment = aws_lambda_function.producer.environment[0].variables
    consumer_environment = aws_lambda_function.consumer.environment[0].variables
    partial_batches      = { for topic, mapping in aws_lambda_event_source_mapping.consumer : topic => contains(coalesce(mapping.function_response_types, []), "ReportBatchItemFailures") }

    # What tells a cheap set from a strict one.
    character = {
      instance_type      = local.broker_instance_type
      nat_gateways       = length(aws_nat_gateway.this)
      pollers            = length(flatten([for mapping in aws_lambda_event_source_mapping.consumer : mapping.provisioned_poller_config]))
      prometheus         = length(aws_prometheus_workspace.this)
      authorization      = join(",", distinct([for route in aws_apigatewayv2_route.this : route.authorization_type]))
      log_retention_days = var.log_retention_days
      boundary           = aws_iam_role.producer.permissions_boundary != null
      paged              = length(local.alarm_targets.page) > 1
    }

    policies = { for role, policies in {
      producer = [aws_iam_role_policy.producer.policy]
      consumer = [aws_iam_role_policy.consumer.policy]
      bastion  = concat(aws_iam_role_policy.bastion_kafka[*].policy, aws_iam_role_policy.bastion_metrics[*].policy, aws_iam_role_policy.bastion_images[*].policy)
      flow_log = aws_iam_role_policy.flow_log[*].policy
      grafana  = aws_iam_role_policy.grafana[*].policy
    } : role => [for policy in policies : jsondecode(policy)] }
  }
}
