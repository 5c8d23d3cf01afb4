# What the guides and other stacks use.

locals {
  # The token's header only where there is a token: curl signs an empty header and does not send it, which is a 403.
  publish_example = join(" ", concat(
    ["curl --fail-with-body -X POST '${local.api_endpoint}/messages'"],
    var.api.authorization == "AWS_IAM" ? ["--aws-sigv4 'aws:amz:${var.region}:execute-api' --user \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\" $${AWS_SESSION_TOKEN:+-H \"x-amz-security-token: $AWS_SESSION_TOKEN\"}"] : [],
    var.api.authorization == "JWT" ? ["-H \"authorization: Bearer $TOKEN\""] : [],
    ["-H 'content-type: application/json' -d '{\"hello\":\"world\"}'"],
  ))

  api_endpoint = var.api.domain == null ? aws_apigatewayv2_api.this.api_endpoint : "https://${var.api.domain.name}"
}

output "cluster_arn" {
  description = "ARN of the MSK cluster."
  value       = local.cluster_arn
}

output "bootstrap_brokers_sasl_iam" {
  description = "Bootstrap servers for clients that use IAM (port 9098); what the functions use."
  value       = local.bootstrap.kafka_iam
}

output "bootstrap_brokers_sasl_scram" {
  description = "Bootstrap servers for clients that use SCRAM (port 9096); null unless client_authentication.scram."
  value       = var.client_authentication.scram ? local.bootstrap.kafka_scram : null
}

output "bootstrap_brokers_tls" {
  description = "Bootstrap servers for clients with TLS certificates (port 9094); null unless client_authentication names certificate authorities."
  value       = length(var.client_authentication.certificate_authority_arns) > 0 ? local.bootstrap.kafka_tls : null
}

output "client_security_group_id" {
  description = "Attach this security group to other Kafka clients in the VPC; it may reach the brokers."
  value       = aws_security_group.this["clients"].id
}

output "api_id" {
  description = "Id of the HTTP API, as CloudWatch's dimension ApiId has it."
  value       = aws_apigatewayv2_api.this.id
}

output "api_domain_target" {
  description = "What the custom domain's DNS record must point to when api.domain has no hosted_zone_id: a name (CNAME), or its zone for an alias record; null without a domain."
  value       = one([for domain in aws_apigatewayv2_domain_name.this : { name = domain.domain_name_configuration[0].target_domain_name, hosted_zone_id = domain.domain_name_configuration[0].hosted_zone_id }])
}

output "api_endpoint" {
  description = "Base URL of the HTTP API."
  value       = local.api_endpoint
}

output "publish_example" {
  description = "A command that publishes one message. With AWS_IAM it signs with the credentials in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where there is one, AWS_SESSION_TOKEN (curl 7.88 or newer); with JWT it takes the token from TOKEN."
  value       = local.publish_example
}

output "publisher_policies" {
  description = "By produced topic: the IAM policy of a caller of this account that may publish to it, over the routes that name it."
  value       = local.publisher_policies
}

output "publisher_role_arns" {
  description = "By entry of publishers: the role that callers of other accounts assume."
  value       = { for name, role in aws_iam_role.publisher : name => role.arn }
}

output "producer_function_name" {
  description = "Name of the producer function; its alias live is what the API calls."
  value       = aws_lambda_function.producer.function_name
}

output "consumer_function_name" {
  description = "Name of the function of the entry consumer; null without that entry."
  value       = try(module.consumer["consumer"].function.function_name, null)
}

output "consumers" {
  description = "What each consumer is made of, to build on: function and alias, role, security group, log group, namespace of its metrics, consumer groups and dead-letter topics by topic."
  value = { for name, it in module.consumer : name => {
    function_name      = it.function.function_name
    alias_arn          = it.alias.arn
    role_name          = it.role.name
    role_arn           = it.role.arn
    security_group_id  = it.security_group.id
    log_group_name     = it.log_group.name
    metrics_namespace  = local.consumers[name].metrics_namespace
    consumer_groups    = { for reading in values(local.readings) : reading.topic => reading.group if reading.consumer == name }
    dead_letter_topics = { for reading in values(local.readings) : reading.topic => reading.dead_letter if reading.consumer == name && reading.dead_letter != null }
  } }

  precondition {
    condition     = alltrue([for it in values(local.consumers) : fileexists(it.zip)])
    error_message = "${join(", ", [for it in values(local.consumers) : it.zip if !fileexists(it.zip)])} is missing: run `cargo xtask package${var.function_architecture == "arm64" ? " --arm64" : ""}` first, or point function_zip_directory or the consumer's zip at it."
  }
  precondition {
    condition     = alltrue([for environment in values(local.consumer_environments) : length(jsonencode(environment)) <= 4000])
    error_message = "The environment of ${join(", ", [for name, environment in local.consumer_environments : name if length(jsonencode(environment)) > 4000])} exceeds Lambda's 4 KB: shorten environment or kafka_options."
  }
}

output "bastion_instance_id" {
  description = "Instance id of the bastion, for Session Manager; null without one."
  value       = one(aws_instance.bastion[*].id)
}

output "bastion_public_ip" {
  description = "Public address of the bastion; null unless bastion_public."
  value       = var.bastion_public ? one(aws_instance.bastion[*].public_ip) : null
}

output "bastion_session_command" {
  description = "Opens a shell on the bastion whose input and output are kept in the log group /aws/ssm/NAME; null without a bastion."
  value       = var.enable_bastion ? "aws ssm start-session --region ${var.region} --target ${aws_instance.bastion[0].id} --document-name ${aws_ssm_document.session[0].name}" : null
}

output "kafka_ui_command" {
  description = "Forwards Kafka-UI to http://localhost:8080 while it runs; null without a bastion. Sign in as admin with the password of kafka_ui_password_command."
  value       = var.enable_bastion ? "aws ssm start-session --region ${var.region} --target ${aws_instance.bastion[0].id} --document-name AWS-StartPortForwardingSession --parameters '{\"portNumber\":[\"${local.kafka_ui_port}\"],\"localPortNumber\":[\"${local.kafka_ui_port}\"]}'" : null
}

output "kafka_ui_password_command" {
  description = "Prints the password of Kafka-UI's user admin, which each new bastion makes anew; null without a bastion."
  value       = var.enable_bastion ? "aws ssm get-parameter --region ${var.region} --name ${local.kafka_ui_password_name} --with-decryption --query Parameter.Value --output text" : null
}

# ----------------------------------------------------------------------------
# Monitoring
# ----------------------------------------------------------------------------

output "amp_workspace_endpoint" {
  description = "Prometheus endpoint of the workspace, for queries and for the stack in grafana/; null without one."
  value       = one(aws_prometheus_workspace.this[*].prometheus_endpoint)
}

output "grafana_url" {
  description = "Address of the Grafana workspace; null without one."
  value       = one([for workspace in aws_grafana_workspace.this : "https://${workspace.endpoint}"])
}

output "grafana_token" {
  description = "Token for the stack in grafana/; null without a workspace."
  value       = one(aws_grafana_workspace_service_account_token.terraform[*].key)
  sensitive   = true
}

output "alarm_topic_arn" {
  description = "SNS topic that every alarm and every Prometheus alert goes to."
  value       = aws_sns_topic.alarms.arn
}

output "dashboard_url" {
  description = "The CloudWatch dashboard."
  value       = "https://${var.region}.console.${local.console_domain}/cloudwatch/home?region=${var.region}#dashboards:name=${aws_cloudwatch_dashboard.this.dashboard_name}"
}
