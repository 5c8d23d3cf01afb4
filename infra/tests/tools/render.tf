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

    policies = { for role, policies in {
      producer = [aws_iam_role_policy.producer.policy]
      consumer = [aws_iam_role_policy.consumer.policy]
      bastion  = concat(aws_iam_role_policy.bastion_kafka[*].policy, aws_iam_role_policy.bastion_metrics[*].policy)
      flow_log = aws_iam_role_policy.flow_log[*].policy
      grafana  = aws_iam_role_policy.grafana[*].policy
    } : role => [for policy in policies : jsondecode(policy)] }
  }
}
