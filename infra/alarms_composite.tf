# Composite alarms: what several alarms are together, told once. A condition that is one event to people is one alarm here,
# whichever of its parts ring; and a part that means nothing by itself (severity signal) gets its meaning here.

locals {
  # The alarms that this cluster has of a row, spelled out.
  alarms_of_row = { for row in distinct(flatten(values(local.composite_parts))) : row => [
    for key in sort(keys(local.alarms)) : key if local.alarms[key].row == row
  ] }
  # ALARM("...") of each.
  ringing = { for row, keys in local.alarms_of_row : row => [for key in keys : "ALARM(\"${local.name}-${key}\")"] }
  # Metrics of the cluster arrive: silence is this or that part's, not that of all of CloudWatch, nor of a cluster so new
  # that it has said nothing yet. Three brokers are asked, whatever their number: a composite alarm names 100 alarms at most.
  cluster_speaks = "(${join(" OR ", [for key in slice(local.alarms_of_row.broker-silent, 0, min(3, length(local.alarms_of_row.broker-silent))) : "OK(\"${local.name}-${key}\")"])})"

  # The rows that each composite alarm speaks for.
  composite_parts = {
    cluster-unhealthy           = ["offline-partitions", "under-min-isr-partitions", "no-active-controller"]
    data-disks-nearly-full      = ["data-disk-nearly-full"]
    messages-at-risk            = ["destination-fails", "poison", "destination-unreachable", "records-dropped"]
    consumer-stalled            = ["records-wait", "mapping-lags", "nothing-committed", "nothing-handled", "lag-grows", "records-published"]
    consumer-behind             = ["consumer-lag-time", "records-old"]
    under-replicated-partitions = ["under-replicated-partitions"]
    broker-unreachable          = ["broker-gone"]
    flow-logs-silent            = ["flow-log-silent"]
    brokers-restart             = ["broker-silent"]
  }

  # By topic where each mapping tells what it committed, else by the one function of all its topics. A consumer that is
  # switched off stands still on purpose.
  running_readings = [for reading in sort(keys(local.readings)) : reading if local.consumers[local.readings[reading].consumer].enabled]
  nothing_handled  = { for name in keys(local.consumers) : name => "ALARM(\"${local.name}-${name == "consumer" ? "" : "${name}-"}nothing-handled\")" }
  stalled_parts = concat(
    [for reading in local.running_readings : contains(keys(local.alarms), "nothing-committed-${reading}") ?
      "((${join(" OR ", [for row in ["records-wait", "mapping-lags"] : "ALARM(\"${local.name}-${row}-${reading}\")" if contains(keys(local.alarms), "${row}-${reading}")])}) AND ALARM(\"${local.name}-nothing-committed-${reading}\"))" :
      "(ALARM(\"${local.name}-records-wait-${reading}\") AND ${local.nothing_handled[local.readings[reading].consumer]})"
    ],
    [for pair in setproduct(local.ringing.records-published, [for name in local.consumers_of_all : name if local.consumers[name].enabled]) : "(${pair[0]} AND ${local.nothing_handled[pair[1]]})"],
    [for reading in local.running_readings : "ALARM(\"${local.name}-lag-grows-${reading}\")" if contains(keys(local.alarms), "lag-grows-${reading}")],
  )

  composites = { for name, row in {
    cluster-unhealthy = {
      severity = "page", runbook = "cluster-unhealthy", about = "The cluster cannot do its work: no controller, partitions without a leader, or partitions that refuse writes."
      any      = concat(local.ringing.offline-partitions, local.ringing.under-min-isr-partitions, [for controller in local.ringing.no-active-controller : "(${controller} AND ${local.cluster_speaks})"])
    }
    data-disks-nearly-full = {
      severity = "page", runbook = "data-disk-nearly-full", about = "A broker's data volume is about to be full; then the broker stops taking writes."
      any      = local.ringing.data-disk-nearly-full
    }
    messages-at-risk = {
      severity = "page", runbook = "messages-at-risk", about = "Records were given up, or cannot be put aside: nobody will handle them."
      any      = flatten([for row in local.composite_parts.messages-at-risk : local.ringing[row]])
    }
    consumer-stalled = {
      severity = "page", runbook = "consumer-stalled", about = "Records wait, and none has been handled for ${join(" or ", distinct(values(local.consumers)[*].stalled_minutes))} minutes."
      any      = local.stalled_parts
    }
    consumer-behind = {
      severity = "ticket", runbook = "consumer-lag", about = "A consumer is more than ${var.consumer_lag_limits.time_lag_seconds} s behind."
      any      = concat(local.ringing.consumer-lag-time, local.ringing.records-old)
    }
    under-replicated-partitions = {
      severity = "ticket", runbook = "under-replicated-partitions", about = "Partitions have lacked a copy for 15 minutes though no broker restarts; one more broker lost stops writes."
      any      = local.ringing.under-replicated-partitions
    }
    broker-unreachable = {
      severity = "ticket", runbook = "broker-unreachable", about = "A broker has reported nothing for 30 minutes, longer than a restart takes."
      any      = [for gone in [join(" OR ", local.ringing.broker-gone)] : "(${gone}) AND ${local.cluster_speaks}" if gone != ""]
    }
    flow-logs-silent = {
      severity = "ticket", runbook = "flow-log-silent", about = "The VPC's flow log writes nothing, though the cluster works."
      any      = [for silent in local.ringing.flow-log-silent : "${silent} AND ${local.cluster_speaks}"]
    }
  } : name => merge(row, { rule = join(" OR ", row.any) }) if length(row.any) > 0 }
  composite_keys = { for name in keys(local.composites) : name => name }

  # Theirs are the actions. Of the rows of a composite alarm that this cluster has no use for, none acts either.
  told_by_a_composite = flatten([for rows in values(local.composite_parts) : [for row in rows : local.alarms_of_row[row]]])
}

# An alarm cannot be deleted while a composite alarm names it, and Terraform deletes what is gone before it changes what
# stays: a composite alarm whose parts change is therefore made anew. Its name goes first, then the parts, then it is back.
# https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/cloudwatch_composite_alarm
resource "terraform_data" "composite_rule" {
  for_each = local.composite_keys

  input = concat([local.composites[each.key].rule], each.key == "under-replicated-partitions" ? local.ringing.broker-silent : [])
}

resource "aws_cloudwatch_composite_alarm" "this" {
  for_each = local.composite_keys

  alarm_name        = "${local.name}-${each.key}"
  alarm_description = "[${local.composites[each.key].severity}] ${local.name}: ${local.composites[each.key].about} Runbook: ${var.runbook_url}#${local.composites[each.key].runbook}"
  alarm_rule        = local.composites[each.key].rule
  actions_enabled   = true
  alarm_actions     = local.alarm_targets[local.composites[each.key].severity]
  ok_actions        = local.alarm_targets[local.composites[each.key].severity]

  # MSK patches one broker after the other, each month, without a window that one could choose or ask for, so no calendar
  # helps: what silences this ticket is that a broker restarts, and 20 minutes after the last one. No page needs it: one
  # broker away loses nothing, and two away are no maintenance.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-suppression.html
  dynamic "actions_suppressor" {
    for_each = each.key == "under-replicated-partitions" ? [aws_cloudwatch_composite_alarm.brokers_restart[0].alarm_name] : []

    content {
      alarm            = actions_suppressor.value
      extension_period = 1200
      wait_period      = 120
    }
  }

  lifecycle {
    replace_triggered_by = [terraform_data.composite_rule[each.key]]

    precondition {
      condition     = length(regexall("\\(\"", local.composites[each.key].rule)) <= 100
      error_message = "A composite alarm takes 100 alarms at most, and ${each.key} would name ${length(regexall("\\(\"", local.composites[each.key].rule))}: split the topics over two deployments."
    }
    precondition {
      condition     = length(local.composites[each.key].rule) <= 10240
      error_message = "The rule of a composite alarm takes 10,240 characters, and that of ${each.key} would have ${length(local.composites[each.key].rule)}: shorten the topics' names, or split the topics over two deployments."
    }
  }

  depends_on = [aws_cloudwatch_metric_alarm.this]
}

# Tells nobody.
resource "aws_cloudwatch_composite_alarm" "brokers_restart" {
  count = contains(keys(local.composites), "under-replicated-partitions") ? 1 : 0

  alarm_name        = "${local.name}-brokers-restart"
  alarm_description = "[signal] ${local.cluster_name}: a broker is being restarted, replaced, or is lost. Runbook: ${var.runbook_url}#broker-unreachable"
  alarm_rule        = join(" OR ", local.ringing.broker-silent)

  lifecycle {
    replace_triggered_by = [terraform_data.composite_rule["under-replicated-partitions"]]
  }

  depends_on = [aws_cloudwatch_metric_alarm.this]
}
