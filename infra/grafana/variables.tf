variable "grafana_url" {
  description = "Address of Grafana: output grafana_url of the main stack."
  type        = string

  validation {
    condition     = can(regex("^https?://", var.grafana_url))
    error_message = "grafana_url must start with https:// (or http:// on your own machine)."
  }
}

variable "grafana_token" {
  description = "Service account token with the role Admin: output grafana_token of the main stack. Give it as TF_VAR_grafana_token, never in a file."
  type        = string
  sensitive   = true
}

variable "region" {
  description = "AWS region of the metrics."
  type        = string
}

variable "name" {
  description = "The main stack's variable name: prefix of the functions, CloudWatch namespace, name of the folder."
  type        = string
  default     = "msk-ha-cluster"
  nullable    = false
}

variable "prometheus_endpoint" {
  description = "Output amp_workspace_endpoint of the main stack; null when metrics_backend = none (the CloudWatch panels still work)."
  type        = string
  default     = null

  validation {
    condition     = var.prometheus_endpoint == null || can(regex("^https?://", var.prometheus_endpoint))
    error_message = "prometheus_endpoint must be a URL."
  }
}

variable "consumers" {
  description = "Output consumers of the main stack: each consumer has a dashboard of its own, on its function and its metrics_namespace (null: name)."
  type = map(object({
    metrics_namespace = optional(string)
  }))
  default  = { consumer = {} }
  nullable = false
}

variable "api_id" {
  description = "Id of the HTTP API: output api_id of the main stack."
  type        = string
  default     = ""
  nullable    = false
}

variable "sigv4" {
  description = "Sign queries with the workspace's role, as Amazon Managed Service for Prometheus wants. Needs AWS's data source plug-in, which Amazon Managed Grafana has from version 12 on; false takes Grafana's own source."
  type        = bool
  default     = true
  nullable    = false
}

variable "aws_auth" {
  description = "Where Grafana finds the credentials of both data sources: ec2_iam_role (the role of its workspace or instance, nothing else) or default (wherever the AWS SDK looks: variables, a profile, a role; for a Grafana of your own)."
  type        = string
  default     = "ec2_iam_role"
  nullable    = false

  validation {
    # https://github.com/grafana/grafana-aws-sdk: keys would put secrets into the state, and default reads profiles too.
    condition     = contains(["ec2_iam_role", "default"], var.aws_auth)
    error_message = "aws_auth must be ec2_iam_role or default; keys and credentials are not taken: default finds a profile through AWS_PROFILE in Grafana's environment."
  }
}

variable "scrape_interval_seconds" {
  description = "The main stack's scrape_interval_seconds; Grafana draws no finer than that."
  type        = number
  default     = 60
  nullable    = false
}
