output "function" {
  description = "The function."
  value       = aws_lambda_function.this
}

output "alias" {
  description = "The alias that the mappings call."
  value       = aws_lambda_alias.this
}

output "mappings" {
  description = "The event source mappings, by topic."
  value       = aws_lambda_event_source_mapping.this
}

output "role" {
  description = "The role of function and mappings."
  value       = aws_iam_role.this
}

output "policy" {
  description = "What the role may do by the consumer's topics and mapping, as JSON."
  value       = aws_iam_role_policy.this.policy
}

output "policy_id" {
  description = "Id of that policy."
  value       = aws_iam_role_policy.this.id
}

output "handler_policy" {
  description = "What policy_statements allow besides, as JSON; null without any."
  value       = one(aws_iam_role_policy.handler[*].policy)
}

output "policy_arns" {
  description = "Managed policies that the role carries."
  value       = [for it in aws_iam_role_policy_attachment.this : it.policy_arn]
}

output "security_group" {
  description = "The function's security group."
  value       = aws_security_group.this
}

output "egress_rules" {
  description = "What leaves for other places than the brokers."
  value       = aws_vpc_security_group_egress_rule.this
}

output "log_group" {
  description = "The function's log group."
  value       = aws_cloudwatch_log_group.this
}
