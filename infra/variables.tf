# Inputs of the whole, the network and the monitoring; those of the cluster and its topics are in variables-cluster.tf,
# those of the functions, the API and the bastion in variables-app.tf. Every one has a safe default; examples/dev.tfvars
# is the cheap set, examples/production.tfvars the strict one.

# ----------------------------------------------------------------------------
# Whole
# ----------------------------------------------------------------------------

variable "name" {
  description = "Prefix of every name: cluster, functions, roles, log groups, alarms. Changing it later replaces the cluster."
  type        = string
  default     = "msk-ha-cluster"
  nullable    = false

  validation {
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html ("aws" is refused nowhere)
    condition     = !startswith(var.name, "sg-")
    error_message = "name must not begin with sg-: EC2 keeps that for the ids of security groups, and refuses it in their names, which begin with name."
  }

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 32 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen: it becomes part of role, function and cluster names."
  }
}

variable "region" {
  description = "AWS region. Any region with three availability zones and MSK, in the commercial, China and GovCloud partitions. Some lack Managed Prometheus or storage that grows by itself; the plan then says what to set (locals.tf lists them)."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be a region's code, such as us-east-1, ap-northeast-2 or us-gov-west-1."
  }
}

variable "tags" {
  description = "Tags added to everything, next to Project and ManagedBy."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "ARN of an IAM policy set as the permissions boundary of every role made here; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:policy/", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy (arn:aws:iam::123456789012:policy/name) or null."
  }
}

variable "log_retention_days" {
  description = "Days that every log group keeps its lines."
  type        = number
  default     = 365
  nullable    = false

  validation {
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of CloudWatch's values: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

# ----------------------------------------------------------------------------
# Network
# ----------------------------------------------------------------------------

variable "vpc_cidr" {
  description = "IPv4 range of the VPC, between /16 and /20; it is cut into three private and three public subnets."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && can(regex("/(1[6-9]|20)$", var.vpc_cidr))
    error_message = "vpc_cidr must be an IPv4 range from /16 to /20, such as 10.0.0.0/16."
  }
}

variable "availability_zones" {
  description = "The three zones to use; null takes the region's first three. Name them where a zone lacks your broker type."
  type        = list(string)
  default     = null

  validation {
    condition     = var.availability_zones == null || length(distinct(coalesce(var.availability_zones, []))) == 3
    error_message = "availability_zones must name three different zones (or be null): with replication factor 3, one zone may fail only when each holds one copy."
  }
}

variable "single_nat_gateway" {
  description = "true: one NAT gateway for all zones; the zone that holds it becomes a single point of failure for outgoing traffic. false: one per zone. null: as many as are used, one per zone while on-demand pollers need the way out, else one for the bastion, or none."
  type        = bool
  default     = null
}

variable "use_vpc_endpoints" {
  description = "VPC endpoints (Lambda, STS, logs, Systems Manager ...) instead of NAT gateways. The bastion then has no internet: its container images must come from a private ECR registry of this region (docs/04_KAFKA_UI.md), and it gets no Kafka command line."
  type        = bool
  default     = false
  nullable    = false
}

variable "existing_network" {
  description = "Adopt a VPC instead of building one: its id, three private subnets in three zones, and (for a public bastion) a public subnet. It needs DNS hostnames, and a way out to Lambda and STS (NAT or endpoints)."
  type = object({
    vpc_id             = string
    private_subnet_ids = list(string)
    public_subnet_ids  = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.existing_network == null || try(length(distinct(var.existing_network.private_subnet_ids)) == 3, false)
    error_message = "existing_network.private_subnet_ids must name three different subnets, one in each of three zones."
  }
}

# ----------------------------------------------------------------------------
# Monitoring
# ----------------------------------------------------------------------------

variable "metrics_backend" {
  description = "Who collects the brokers' Prometheus metrics: amp (Amazon Managed Service for Prometheus with its agentless scraper), bastion (Prometheus on the bastion) or none (CloudWatch only)."
  type        = string
  default     = "amp"
  nullable    = false

  validation {
    condition     = contains(["amp", "bastion", "none"], var.metrics_backend)
    error_message = "metrics_backend must be amp, bastion or none."
  }

  validation {
    condition     = var.metrics_backend == "none" || !contains(local.regions_without_prometheus, var.region)
    error_message = "metrics_backend: ${var.region} has no Amazon Managed Service for Prometheus, which amp and bastion write to. Set metrics_backend = \"none\": CloudWatch's alarms and dashboard need no Prometheus."
  }

  validation {
    condition     = var.metrics_backend != "bastion" || var.enable_bastion
    error_message = "metrics_backend = bastion needs enable_bastion = true."
  }
}

variable "enable_managed_grafana" {
  description = "An Amazon Managed Grafana workspace. Off by default: signing in needs IAM Identity Center or a SAML identity provider, which this configuration cannot create."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.enable_managed_grafana || contains(local.regions_with_grafana, var.region)
    error_message = "enable_managed_grafana: ${var.region} has no Amazon Managed Grafana. Set it to false: CloudWatch's dashboard needs none, and the stack in grafana/ fills any other Grafana too (docs/03_MONITORING.md). Regions that have it: ${join(", ", local.regions_with_grafana)}."
  }
}

variable "scrape_interval_seconds" {
  description = "Seconds between two scrapes of a broker. Half of it doubles what the workspace bills for samples."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.scrape_interval_seconds >= 30 && var.scrape_interval_seconds <= 300
    error_message = "scrape_interval_seconds must be from 30 to 300: the scraper takes no less than 30, and the rules look back 5 minutes."
  }
}

variable "kraft_controller_endpoints" {
  description = "DNS names of the KRaft controllers, without port. They exist only once the cluster does, and only `aws kafka list-nodes` tells them (docs/03_MONITORING.md); without them the controller's panels and alerts stay empty, and CloudWatch's alarms watch the controller alone."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for host in var.kraft_controller_endpoints : can(regex("^[a-z0-9.-]+$", host))])
    error_message = "kraft_controller_endpoints: DNS names without scheme or port, such as c-10001.name.abc123.c2.kafka.us-east-1.amazonaws.com."
  }
}

variable "bastion_prometheus_image" {
  description = "Container image of Prometheus for metrics_backend = bastion; with use_vpc_endpoints, one in a private ECR registry of this region."
  type        = string
  default     = "quay.io/prometheus/prometheus:v3.5.0"
  nullable    = false

  validation {
    condition     = !local.has_endpoints || var.metrics_backend != "bastion" || try(regex(local.ecr_image, var.bastion_prometheus_image).region, "") == var.region
    error_message = "With use_vpc_endpoints = true the bastion has no internet and cannot pull bastion_prometheus_image: copy it into an ECR repository in ${var.region} and name that one (123456789012.dkr.ecr.${var.region}.amazonaws.com/prometheus:v3.5.0; docs/04_KAFKA_UI.md), or set metrics_backend = \"amp\" or use_vpc_endpoints = false."
  }
}

variable "grafana" {
  description = "The Grafana workspace. authentication_providers: AWS_SSO (IAM Identity Center) or SAML. Ids of Identity Center users and groups that may sign in. saml: the identity provider's metadata URL, the assertion that holds a person's role, and the values that make an editor or an administrator. token_seconds: life of the token for the stack in grafana/."
  type = object({
    version = optional(string, "12.4")
    saml = optional(object({
      idp_metadata_url   = string
      role_assertion     = optional(string, "role")
      admin_role_values  = list(string)
      editor_role_values = optional(list(string), [])
    }))
    authentication_providers = optional(list(string), ["AWS_SSO"])
    admin_user_ids           = optional(list(string), [])
    admin_group_ids          = optional(list(string), [])
    viewer_user_ids          = optional(list(string), [])
    viewer_group_ids         = optional(list(string), [])
    token_seconds            = optional(number, 86400)
  })
  default  = {}
  nullable = false

  validation {
    # The plug-in that signs Prometheus queries is there from 12 on; the source of before does not sign in 12 any more.
    # https://docs.aws.amazon.com/grafana/latest/userguide/prometheus-manually-adding.html
    condition     = can(regex("^1[23]\\.[0-9]+$", var.grafana.version))
    error_message = "grafana.version must be 12 or 13 with its minor version, such as 12.4 (aws grafana list-versions tells them): older ones lack the data source of Amazon Managed Service for Prometheus, so no Prometheus panel has data."
  }

  validation {
    condition     = length(var.grafana.authentication_providers) > 0 && alltrue([for provider in var.grafana.authentication_providers : contains(["AWS_SSO", "SAML"], provider)])
    error_message = "grafana.authentication_providers takes AWS_SSO and SAML, at least one of them."
  }

  validation {
    condition     = contains(var.grafana.authentication_providers, "SAML") == (var.grafana.saml != null)
    error_message = "grafana.saml and SAML in grafana.authentication_providers belong together: without saml nobody can sign in, and without SAML nothing reads it."
  }

  validation {
    condition     = var.grafana.saml == null || try(can(regex("^https://", var.grafana.saml.idp_metadata_url)) && length(var.grafana.saml.admin_role_values) > 0, false)
    error_message = "grafana.saml: idp_metadata_url must start with https://, and admin_role_values must name at least one value, or the workspace has no administrator."
  }

  validation {
    condition     = contains(var.grafana.authentication_providers, "AWS_SSO") || length(concat(var.grafana.admin_user_ids, var.grafana.admin_group_ids, var.grafana.viewer_user_ids, var.grafana.viewer_group_ids)) == 0
    error_message = "grafana: the ids of users and groups are those of IAM Identity Center: add AWS_SSO to authentication_providers, or give people their role through saml.admin_role_values and saml.editor_role_values."
  }

  validation {
    condition     = var.grafana.token_seconds >= 600 && var.grafana.token_seconds <= 2592000
    error_message = "grafana.token_seconds must be from 600 to 2592000 (30 days, the longest that Amazon Managed Grafana gives)."
  }
}

variable "alarm_emails" {
  description = "Addresses that get every alarm by mail; each must follow the link in its first mail."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", address))])
    error_message = "alarm_emails must be mail addresses."
  }
}

variable "paging_topic_arns" {
  description = "SNS topics that wake someone (those of an on-call tool), in this region. Alarms, Prometheus alerts and events of severity page go there too, if the topics' policies let cloudwatch, aps and events.amazonaws.com publish (docs/03_MONITORING.md has the statement)."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    # CloudWatch takes five actions for each state, and one is the alarm topic itself.
    condition     = length(var.paging_topic_arns) <= 4 && alltrue([for arn in var.paging_topic_arns : can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", arn))])
    error_message = "paging_topic_arns must be at most four ARNs of SNS topics (arn:aws:sns:us-east-1:123456789012:name)."
  }

  validation {
    condition     = alltrue([for arn in var.paging_topic_arns : try(split(":", arn)[3], "") == var.region])
    error_message = "paging_topic_arns must be topics in ${var.region}: CloudWatch and EventBridge reach no other region's. Make one here and subscribe the on-call tool to it."
  }
}

variable "runbook_url" {
  description = "Where docs/RUNBOOKS.md can be read; it stands in every alarm's description and every Prometheus alert, followed by # and the section."
  type        = string
  default     = "docs/RUNBOOKS.md"
  nullable    = false

  validation {
    condition     = length(var.runbook_url) > 0 && length(var.runbook_url) <= 300 && !strcontains(var.runbook_url, "#")
    error_message = "runbook_url must be 1 to 300 characters and without #: the section is appended."
  }
}

variable "consumer_lag_limits" {
  description = "How many seconds consumers may be behind before an alarm. The Prometheus rules and the CloudWatch alarms use the same figure."
  type = object({
    time_lag_seconds = optional(number, 300)

    # Terraform drops attributes that it does not know without a word: these are here to be refused.
    partition_offset_lag = optional(number)
    total_offset_lag     = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.consumer_lag_limits.time_lag_seconds > 0
    error_message = "consumer_lag_limits must be above 0: with 0 every record in flight is an alarm."
  }
  validation {
    condition     = var.consumer_lag_limits.partition_offset_lag == null && var.consumer_lag_limits.total_offset_lag == null
    error_message = "consumer_lag_limits has no numbers of records any more, because they say nothing of how far behind a group is: take out partition_offset_lag and total_offset_lag, and set time_lag_seconds."
  }
}

variable "alarm_limits" {
  description = "Limits of the other alarms: percentages, the latency that 1 % of callers may exceed, the account's quota of concurrent Lambda executions, and for how many minutes nobody may call the API before a ticket (null: for ever). disk_percent opens a ticket; half-way from there to 100 is a page."
  type = object({
    cpu_percent        = optional(number, 60)
    disk_percent       = optional(number, 85)
    heap_percent       = optional(number, 60)
    api_5xx_percent    = optional(number, 1)
    api_4xx_percent    = optional(number, 25)
    api_p99_latency_ms = optional(number, 5000)

    lambda_account_concurrency = optional(number, 1000)
    no_requests_minutes        = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name, limit in var.alarm_limits : limit == null ? true : limit > 0 && (!endswith(name, "_percent") || limit < 100)])
    error_message = "alarm_limits must be above 0, and percentages below 100: at 100 the alarm could never go off."
  }

  validation {
    condition     = try(var.alarm_limits.no_requests_minutes >= 5 && var.alarm_limits.no_requests_minutes <= 1440 && floor(var.alarm_limits.no_requests_minutes) == var.alarm_limits.no_requests_minutes, var.alarm_limits.no_requests_minutes == null)
    error_message = "alarm_limits.no_requests_minutes must be a whole number from 5 (the last minutes' figures are still on their way) to 1440 (CloudWatch looks back a day)."
  }
}
