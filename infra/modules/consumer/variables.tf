# What the stack tells each consumer. Users set `consumers` (../../variables-consumers.tf), which checks the values.

variable "name" {
  description = "Name of the function, its role and its log group."
  type        = string
}

variable "settings" {
  description = "The consumer's entry in var.consumers, with what follows from it (consumers.tf)."
  type = object({
    zip                             = string
    memory_mb                       = number
    timeout_seconds                 = number
    reserved_concurrency            = number
    dead_letter_topic               = string
    batch_size                      = number
    batch_window_seconds            = number
    starting_position               = string
    filters                         = list(string)
    enabled                         = bool
    failure_destination             = string
    failure_destination_kms_key_arn = string
    publishes                       = list(string)
    policy_arns                     = list(string)
    layers                          = list(string)

    canary = object({
      version = string
      weight  = number
    })
    egress = map(object({
      port               = number
      cidrs              = list(string)
      security_group_ids = list(string)
      prefix_list_ids    = list(string)
    }))
    policy_statements = list(object({
      actions    = list(string)
      resources  = list(string)
      conditions = map(map(list(string)))
    }))
    provisioned = object({
      minimum_pollers     = number
      maximum_pollers     = number
      maximum_retries     = number
      maximum_age_seconds = number
      bisect_on_error     = bool
      metrics             = list(string)
    })
  })
}

variable "mappings" {
  description = "Topics that it reads: each one's consumer group, and its dead-letter topic (null for none)."
  type = map(object({
    group       = string
    dead_letter = string
  }))
}

variable "environment" {
  description = "The function's environment."
  type        = map(string)
}

variable "platform_statements" {
  description = "Statements of what Lambda itself does in the function's name."
  type        = any
}

variable "trust_policy" {
  description = "Who may take the role."
  type        = string
}

variable "permissions_boundary_arn" {
  description = "Boundary of the role; null for none."
  type        = string
}

variable "architecture" {
  description = "arm64 or x86_64."
  type        = string
}

variable "log_level" {
  description = "Least severe log line that is kept."
  type        = string
}

variable "log_retention_days" {
  description = "How long the log group keeps a line."
  type        = number
}

variable "kms_key_arn" {
  description = "Key of the environment and the log group."
  type        = string
}

variable "network" {
  description = "VPC and subnets of the function."
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
}

variable "cluster_arn" {
  description = "The cluster that is read."
  type        = string
}

variable "partial_batch_responses" {
  description = "Whether the mapping asks for failed items, which the environment tells the function too."
  type        = bool
}

variable "kms_via_suffix" {
  description = "What follows the service in kms:ViaService: region and domain."
  type        = string
}
