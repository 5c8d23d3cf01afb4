# What the guides and other stacks use.

output "cluster_arn" {
  description = "ARN of the MSK cluster."
  value       = local.cluster_arn
}

output "bootstrap_brokers_sasl_iam" {
  description = "Bootstrap servers for clients that use IAM (port 9098); what the functions use."
  value       = local.bootstrap_brokers_sasl_iam
}

output "bootstrap_brokers_tls" {
  description = "Bootstrap servers for clients with TLS certificates (port 9094); empty unless client_authentication names certificate authorities."
  value       = local.bootstrap_brokers_tls
}

output "client_security_group_id" {
  description = "Attach this security group to other Kafka clients in the VPC; it may reach the brokers."
  value       = aws_security_group.this["clients"].id
}

# ----------------------------------------------------------------------------
# Monitoring
# ----------------------------------------------------------------------------
