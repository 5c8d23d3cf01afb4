# Copied beside the configuration for the matrix: one output with what the other tools judge.

output "rendered" {
  value = {
    region          = var.region
    cluster_arn     = local.cluster_arn
    produced_topics = sort(keys(local.produced_topics))
    key_arn         = aws_kms_key.this.arn
    publish_example = local.publish_example
    authorization   = var.api.authorization

    routes               = sort(keys(aws_apigatewayv2_route.this))
    producer_environment = aws_lambda_function.producer.environment[0].variables
    consumers = { for name, it in module.consumer : name => {
      environment     = it.function.environment[0].variables
      topics          = sort(keys(it.mappings))
      groups          = sort(distinct([for reading in values(local.readings) : reading.group if reading.consumer == name]))
      dead_letters    = sort(distinct([for reading in values(local.readings) : reading.dead_letter if reading.consumer == name && reading.dead_letter != null]))
      publishes       = local.consumers[name].publishes
      failures        = local.consumers[name].failure_destination
      failures_key    = local.consumers[name].failure_destination_kms_key_arn
      partial_batches = { for topic, mapping in it.mappings : topic => contains(coalesce(mapping.function_response_types, []), "ReportBatchItemFailures") }
    } }

    # What tells a cheap set from a strict one.
    character = {
      instance_type      = local.broker_instance_type
      nat_gateways       = length(aws_nat_gateway.this)
      pollers            = length(flatten([for it in module.consumer : [for mapping in it.mappings : mapping.provisioned_poller_config]]))
      prometheus         = length(aws_prometheus_workspace.this)
      grafana            = length(aws_grafana_workspace.this)
      authorization      = join(",", distinct([for route in aws_apigatewayv2_route.this : route.authorization_type]))
      log_retention_days = var.log_retention_days
      boundary           = aws_iam_role.producer.permissions_boundary != null
      paged              = length(local.alarm_targets.page) > 1
    }

    # Texts that AWS bounds, by the rule in rendered.py that they must follow.
    texts = {
      security_group_description = concat([for group in aws_security_group.this : group.description], flatten([for it in module.consumer : concat([it.security_group.description], values(it.egress_rules)[*].description)]),
      [for rule in concat(values(aws_vpc_security_group_ingress_rule.this), values(aws_vpc_security_group_egress_rule.this), values(aws_vpc_security_group_ingress_rule.bastion_ssh)) : rule.description])
      role_description     = [for role in concat([aws_iam_role.producer], values(module.consumer)[*].role, values(aws_iam_role.publisher), aws_iam_role.bastion, aws_iam_role.flow_log, aws_iam_role.grafana, aws_iam_role.events_elsewhere) : role.description if role.description != null]
      role_name            = [for role in concat([aws_iam_role.producer], values(module.consumer)[*].role, values(aws_iam_role.publisher), aws_iam_role.bastion, aws_iam_role.flow_log, aws_iam_role.grafana, aws_iam_role.events_elsewhere) : role.name]
      function_description = concat([aws_lambda_function.producer.description, aws_lambda_alias.producer.description], flatten([for it in module.consumer : [it.function.description, it.alias.description]]))
      function_name        = concat([aws_lambda_function.producer.function_name], [for it in module.consumer : it.function.function_name])
      log_group            = concat([for group in aws_cloudwatch_log_group.this : group.name], [for it in module.consumer : it.log_group.name], aws_cloudwatch_log_group.prometheus[*].name)
      key_description      = [aws_kms_key.this.description, aws_kms_key.alarms.description]
      msk_name             = concat(aws_msk_cluster.this[*].cluster_name, aws_msk_configuration.this[*].name)
      document_name        = aws_ssm_document.session[*].name
      topic_display_name   = [aws_sns_topic.alarms.display_name]
      workspace_name       = concat(aws_grafana_workspace.this[*].name, aws_prometheus_workspace.this[*].alias)
      # Of the many, the longest decides.
      alarm_name        = [for length in [max([for alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_name)]...)] : [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name if length(alarm.alarm_name) == length][0]]
      alarm_description = [for length in [max([for alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_description)]...)] : [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_description if length(alarm.alarm_description) == length][0]]
    }

    # What each publisher may write.
    publishers    = { for name, publisher in var.publishers : name => publisher.topics }
    execution_arn = aws_apigatewayv2_api.this.execution_arn

    policies = { for role, policies in merge({ for name, policy in aws_iam_role_policy.publisher : "publisher-${name}" => [policy.policy] }, { for name, it in module.consumer : name => concat([it.policy], it.handler_policy[*]) }, {
      producer = [aws_iam_role_policy.producer.policy]
      bastion  = concat(aws_iam_role_policy.bastion_kafka[*].policy, aws_iam_role_policy.bastion_metrics[*].policy, aws_iam_role_policy.bastion_images[*].policy, aws_iam_role_policy.bastion_session_manager[*].policy)
      flow_log = aws_iam_role_policy.flow_log[*].policy
      grafana  = aws_iam_role_policy.grafana[*].policy
      events   = aws_iam_role_policy.events_elsewhere[*].policy
    }) : role => [for policy in policies : jsondecode(policy)] }
  }
}
