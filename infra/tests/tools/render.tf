# Copied beside the configuration for the matrix: one output with what the other tools judge.

output "rendered" {
  value = {
    region          = var.region
    cluster_arn     = local.cluster_arn
    produced_topics = sort(keys(local.produced_topics))
    consumed_topics = sort(keys(local.consumed_topics))
    dead_letters    = sort(distinct(values(local.dead_letter_topics)))
    consumer_groups = sort(distinct(values(local.consumer_groups)))
    failures        = local.failure_destination
    failures_key    = var.consumer.failure_destination_kms_key_arn
    key_arn         = aws_kms_key.this.arn
    publish_example = local.publish_example
    authorization   = var.api.authorization

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
      grafana            = length(aws_grafana_workspace.this)
      authorization      = join(",", distinct([for route in aws_apigatewayv2_route.this : route.authorization_type]))
      log_retention_days = var.log_retention_days
      boundary           = aws_iam_role.producer.permissions_boundary != null
      paged              = length(local.alarm_targets.page) > 1
    }

    # Texts that AWS bounds, by the rule in rendered.py that they must follow.
    texts = {
      security_group_description = concat([for group in aws_security_group.this : group.description],
      [for rule in concat(values(aws_vpc_security_group_ingress_rule.this), values(aws_vpc_security_group_egress_rule.this), values(aws_vpc_security_group_ingress_rule.bastion_ssh)) : rule.description])
      role_description     = [for role in concat([aws_iam_role.producer, aws_iam_role.consumer], aws_iam_role.bastion, aws_iam_role.flow_log, aws_iam_role.grafana, aws_iam_role.events_elsewhere) : role.description if role.description != null]
      role_name            = [for role in concat([aws_iam_role.producer, aws_iam_role.consumer], aws_iam_role.bastion, aws_iam_role.flow_log, aws_iam_role.grafana, aws_iam_role.events_elsewhere) : role.name]
      function_description = concat([for function in [aws_lambda_function.producer, aws_lambda_function.consumer] : function.description], [aws_lambda_alias.producer.description])
      function_name        = [for function in [aws_lambda_function.producer, aws_lambda_function.consumer] : function.function_name]
      log_group            = concat([for group in aws_cloudwatch_log_group.this : group.name], aws_cloudwatch_log_group.prometheus[*].name)
      key_description      = [aws_kms_key.this.description, aws_kms_key.alarms.description]
      msk_name             = concat(aws_msk_cluster.this[*].cluster_name, aws_msk_configuration.this[*].name)
      document_name        = aws_ssm_document.session[*].name
      topic_display_name   = [aws_sns_topic.alarms.display_name]
      workspace_name       = concat(aws_grafana_workspace.this[*].name, aws_prometheus_workspace.this[*].alias)
      # Of the many, the longest decides.
      alarm_name        = [for length in [max([for alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_name)]...)] : [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name if length(alarm.alarm_name) == length][0]]
      alarm_description = [for length in [max([for alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_description)]...)] : [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_description if length(alarm.alarm_description) == length][0]]
    }

    policies = { for role, policies in {
      producer = [aws_iam_role_policy.producer.policy]
      consumer = [aws_iam_role_policy.consumer.policy]
      bastion  = concat(aws_iam_role_policy.bastion_kafka[*].policy, aws_iam_role_policy.bastion_metrics[*].policy, aws_iam_role_policy.bastion_images[*].policy, aws_iam_role_policy.bastion_session_manager[*].policy)
      flow_log = aws_iam_role_policy.flow_log[*].policy
      grafana  = aws_iam_role_policy.grafana[*].policy
      events   = aws_iam_role_policy.events_elsewhere[*].policy
    } : role => [for policy in policies : jsondecode(policy)] }
  }
}
