# CloudWatch alarms of the cluster and of the way out of it, from one table; alarms_lag.tf and alarms_table_app.tf go on with
# the rest.
# Each row is a metric, a condition, how urgent it is, and the section of docs/RUNBOOKS.md that says what to do. Conditions:
# AWS's recommendations for MSK (docs/03_MONITORING.md has the sources), except where a comment says why not.
#
#   when       whether this cluster has the metric at all; Express brokers lack many
#   severity   page = users lose something now or within the hour (also goes to paging_topic_arns), ticket = next working
#              day, signal = tells nobody: a composite alarm (alarms_composite.tf) makes a sentence of it
#   periods    how many are looked at; so many must be in breach, or `datapoints` of them where that is there
#   if_silent  what missing data means: "missing" (unknown), "notBreaching" (nothing happened), "breaching", "ignore" (as before).
#              For what is missing CloudWatch looks back further than the periods, and a last good value there holds "breaching"
#              up for some of them; where that is too late, FILL in the math puts a value into each gap.
#              https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
#   twin       the alert in rules/ on the same condition. A condition is told once: where Prometheus runs, a ticket with a
#              twin is left to it, which knows a broker's restart from a fault. Pages stay here: between a metric and the
#              pager CloudWatch has the fewest parts.

locals {
  # Partitions a broker, replicas included, that AWS recommends at most; sustained MB/s of Express brokers.
  # https://docs.aws.amazon.com/msk/latest/developerguide/bestpractices.html
  # https://docs.aws.amazon.com/msk/latest/developerguide/limits.html#msk-express-quota
  broker_capacity = {
    "kafka.t3.small" = { partitions = 300 }
    "kafka.large"    = { partitions = 1000 }
    "kafka.xlarge"   = { partitions = 1000 }
    "kafka.2xlarge"  = { partitions = 2000 }
    "kafka.larger"   = { partitions = 4000 }

    "express.large"    = { partitions = 1000, in_mb = 15.6, out_mb = 31.2 }
    "express.xlarge"   = { partitions = 1000, in_mb = 31.2, out_mb = 62.5 }
    "express.2xlarge"  = { partitions = 2500, in_mb = 62.5, out_mb = 125 }
    "express.4xlarge"  = { partitions = 6000, in_mb = 124.9, out_mb = 249.8 }
    "express.8xlarge"  = { partitions = 12000, in_mb = 250, out_mb = 500 }
    "express.12xlarge" = { partitions = 16000, in_mb = 375, out_mb = 750 }
    "express.16xlarge" = { partitions = 20000, in_mb = 500, out_mb = 1000 }
  }
  broker_family = split(".", local.broker_instance_type)[0]
  broker_size   = reverse(split(".", local.broker_instance_type))[0]
  capacity = merge({ in_mb = 0, out_mb = 0 }, lookup(local.broker_capacity, local.broker_instance_type,
  lookup(local.broker_capacity, "${local.broker_family}.${local.broker_size}", local.broker_capacity["kafka.larger"])))

  # What an instance carries to its volumes all day, in MB/s; the volume itself ends at 250 MiB/s, or what is provisioned.
  # Read on 2026-11-28 from https://docs.aws.amazon.com/ec2/latest/instancetypes/gp.html (baseline EBS bandwidth).
  instance_mb_per_second = {
    "t3.small"  = 21.75
    "m5.large"  = 81.25, "m5.xlarge" = 143.75, "m5.2xlarge" = 287.5, "m5.4xlarge" = 593.75, "m5.8xlarge" = 850, "m5.12xlarge" = 1187.5
    "m7g.large" = 78.75, "m7g.xlarge" = 156.25, "m7g.2xlarge" = 312.5, "m7g.4xlarge" = 625, "m7g.8xlarge" = 1250
    "m8g.large" = 78.75, "m8g.xlarge" = 156.25, "m8g.2xlarge" = 312.5, "m8g.4xlarge" = 625, "m8g.8xlarge" = 1250
  }
  # Sizes that the list lacks carry more than any volume here takes.
  volume_mib_per_second = floor(min(coalesce(var.storage.provisioned_throughput, 250), lookup(local.instance_mb_per_second, trimprefix(local.broker_instance_type, "kafka."), 1250) / 1.048576))

  # Half of what the ticket left is gone.
  disk_page_percent = (var.alarm_limits.disk_percent + 100) / 2

  # --- One alarm a broker ---------------------------------------------------------------------------------------------

  broker_rows = {
    # Not on burstable brokers: at 60 % they live on credits, and cpu-credits-low says when those end.
    cpu-high = {
      when     = !local.is_burstable, severity = "ticket", twin = "MskBrokerCpuHigh", runbook = "broker-cpu-high", about = "CPU above ${var.alarm_limits.cpu_percent} %: the loss of another broker no longer fits."
      math     = { expression = "user + system", period = 300, stat = "Average", metrics = { user = "CpuUser", system = "CpuSystem" } }
      operator = ">", threshold = var.alarm_limits.cpu_percent, periods = 3, if_silent = "missing"
    }
    too-many-partitions = {
      when   = true, severity = "ticket", runbook = "too-many-partitions", about = "More partitions than AWS recommends for ${local.broker_instance_type} (${local.capacity.partitions})."
      metric = "PartitionCount", stat = "Maximum", period = 300, operator = ">", threshold = local.capacity.partitions, periods = 3, if_silent = "missing"
    }
    connections-near-limit = {
      when       = true, severity = "ticket", twin = "MskConnectionsNearLimit", runbook = "connections-near-limit", about = "IAM connections above 80 % of the ${local.connections.per_broker} that a broker takes."
      metric     = "ClientConnectionCount", stat = "Sum", period = 60, operator = ">", threshold = 0.8 * local.connections.per_broker, periods = 3, if_silent = "notBreaching"
      dimensions = { "Client Authentication" = "IAM" }
    }
    connection-rate-high = {
      when   = true, severity = "ticket", runbook = "connections-near-limit", about = "New connections near the ${local.connections.new_per_second} a second that a broker takes with IAM."
      metric = "ConnectionCreationRate", stat = "Sum", period = 60, operator = ">=", threshold = 0.8 * local.connections.new_per_second, periods = 3, if_silent = "notBreaching"
    }
    connections-refused = {
      when   = true, severity = "ticket", runbook = "connections-refused", about = "The broker refuses IAM connections: too many new ones a second; clients try again."
      metric = "IAMTooManyConnections", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    request-handlers-busy = {
      when   = true, severity = "ticket", runbook = "request-handlers-busy", about = "Request handler threads idle less than 30 % of the time."
      metric = "RequestHandlerAvgIdlePercent", stat = "Average", period = 300, operator = "<", threshold = 0.3, periods = 3, if_silent = "missing"
    }
    network-threads-busy = {
      when   = true, severity = "ticket", runbook = "network-threads-busy", about = "Network threads idle less than 30 % of the time."
      metric = "NetworkProcessorAvgIdlePercent", stat = "Average", period = 300, operator = "<", threshold = 0.3, periods = 3, if_silent = "missing"
    }
    # Every broker counts its partitions each minute. One that says nothing is being restarted, replaced, or is lost. 4 of 10
    # minutes, so that it counts as back when it has spoken for 7 of them: what asks whether a cluster speaks is asked as soon
    # as the first metric of a new one arrives, and the others may be minutes behind. The last two are always silent, because
    # their figures are still on their way. Where nothing asks about each broker, three tell whether the cluster speaks.
    broker-silent = {
      when     = true, brokers = local.is_express || local.has_prometheus ? 3 : local.broker_count, severity = "signal", runbook = "broker-unreachable", about = "The broker reports nothing."
      math     = { expression = "FILL(partitions, -1)", period = 60, stat = "Maximum", metrics = { partitions = "PartitionCount" } }
      operator = "<", threshold = 0, periods = 10, datapoints = 4, if_silent = "breaching"
    }
    # Twice as long as a restart takes (10 to 15 minutes). Not filled: a ticket that may come some periods later.
    broker-gone = {
      when   = true, severity = "signal", twin = "MskBrokerUnreachable", runbook = "broker-unreachable", about = "The broker has reported nothing for 30 minutes."
      metric = "PartitionCount", stat = "Maximum", period = 300, operator = "<", threshold = 0, periods = 6, if_silent = "breaching"
    }
    under-min-isr-partitions = {
      when   = !local.is_express, severity = "page", runbook = "under-min-isr-partitions", about = "Partitions refuse writes: fewer copies in sync than min.insync.replicas."
      metric = "UnderMinIsrPartitionCount", stat = "Average", period = 60, operator = ">=", threshold = 1, periods = 1, if_silent = "missing"
    }
    under-replicated-partitions = {
      when   = !local.is_express, severity = "signal", twin = "MskUnderReplicatedPartitions", runbook = "under-replicated-partitions", about = "Partitions have lacked a copy for 15 minutes; one more broker lost stops writes."
      metric = "UnderReplicatedPartitions", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 3, if_silent = "missing"
    }
    data-disk-filling = {
      when   = !local.is_express, severity = "ticket", twin = "MskDataDiskFilling", runbook = "data-disk-filling", about = "Data volume above ${var.alarm_limits.disk_percent} %: there are days, or hours, to make room."
      metric = "KafkaDataLogsDiskUsed", stat = "Maximum", period = 300, operator = ">", threshold = var.alarm_limits.disk_percent, periods = 3, if_silent = "missing"
    }
    data-disk-nearly-full = {
      when   = !local.is_express, severity = "page", runbook = "data-disk-nearly-full", about = "Data volume above ${local.disk_page_percent} %; at 100 % the broker stops taking writes."
      metric = "KafkaDataLogsDiskUsed", stat = "Maximum", period = 300, operator = ">", threshold = local.disk_page_percent, periods = 1, if_silent = "missing"
    }
    heap-high = {
      when   = !local.is_express, severity = "ticket", runbook = "heap-high", about = "Heap after garbage collection above ${var.alarm_limits.heap_percent} % for 15 minutes."
      metric = "HeapMemoryAfterGC", stat = "Average", period = 300, operator = ">", threshold = var.alarm_limits.heap_percent, periods = 3, if_silent = "missing"
    }
    inbound-network-shaped = {
      when   = !local.is_express, severity = "ticket", runbook = "network-shaped", about = "Packets to the broker are shaped: above the instance's network allowance."
      metric = "BwInAllowanceExceeded", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 3, if_silent = "notBreaching"
    }
    outbound-network-shaped = {
      when   = !local.is_express, severity = "ticket", runbook = "network-shaped", about = "Packets from the broker are shaped: above the instance's network allowance."
      metric = "BwOutAllowanceExceeded", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 3, if_silent = "notBreaching"
    }
    volume-throughput-high = {
      when     = !local.is_express, severity = "ticket", runbook = "volume-throughput-high", about = "The volume reads and writes above 80 % of the ${local.volume_mib_per_second} MiB/s that it and its instance sustain."
      math     = { expression = "(read + written) / 300 / 1048576", period = 300, stat = "Sum", metrics = { read = "VolumeReadBytes", written = "VolumeWriteBytes" } }
      operator = ">=", threshold = 0.8 * local.volume_mib_per_second, periods = 3, if_silent = "missing"
    }
    cpu-credits-low = {
      when   = local.is_burstable, severity = "ticket", runbook = "cpu-credits-low", about = "Few CPU credits left; at 0 the broker is held to 20 % CPU."
      metric = "CPUCreditBalance", stat = "Average", period = 300, operator = "<=", threshold = 100, periods = 3, if_silent = "missing"
    }
    produce-throttled = {
      when   = local.is_express, severity = "ticket", runbook = "express-throttled", about = "Producers are throttled: the broker's inbound quota is used up."
      metric = "ProduceThrottleTime", stat = "Average", period = 300, operator = ">", threshold = 0, periods = 3, if_silent = "notBreaching"
    }
    fetch-throttled = {
      when   = local.is_express, severity = "ticket", runbook = "express-throttled", about = "Consumers are throttled: the broker's outbound quota is used up."
      metric = "FetchThrottleTime", stat = "Average", period = 300, operator = ">", threshold = 0, periods = 3, if_silent = "notBreaching"
    }
    inbound-near-quota = {
      when   = local.is_express, severity = "ticket", runbook = "express-throttled", about = "Bytes in above 80 % of what the broker size sustains (${local.capacity.in_mb} MB/s)."
      metric = "BytesInPerSec", stat = "Average", period = 300, operator = ">", threshold = 0.8 * local.capacity.in_mb * 1000000, periods = 3, if_silent = "notBreaching"
    }
    outbound-near-quota = {
      when   = local.is_express, severity = "ticket", runbook = "express-throttled", about = "Bytes out above 80 % of what the broker size sustains (${local.capacity.out_mb} MB/s)."
      metric = "BytesOutPerSec", stat = "Average", period = 300, operator = ">", threshold = 0.8 * local.capacity.out_mb * 1000000, periods = 3, if_silent = "notBreaching"
    }
  }

  # --- One alarm each -------------------------------------------------------------------------------------------------

  cluster_rows = {
    # Only the controller reports 1, the other nodes 0: the maximum, never the average or the sum. Silence is no controller
    # either, but only while brokers speak (cluster-unhealthy asks): a cluster that is new is silent altogether. Not filled: in a gap
    # of all of CloudWatch the brokers must fall silent before it does.
    no-active-controller = {
      when   = true, severity = "page", runbook = "no-active-controller", about = "No active controller for 5 minutes: leaders cannot move."
      metric = "ActiveControllerCount", stat = "Maximum", period = 60, operator = "<", threshold = 1, periods = 5, if_silent = "breaching"
    }
    offline-partitions = {
      when   = !local.is_express, severity = "page", runbook = "offline-partitions", about = "Partitions have no leader: nobody can write or read them."
      metric = "OfflinePartitionsCount", stat = "Sum", period = 60, operator = ">", threshold = 0, periods = 1, if_silent = "missing"
    }
    storage-unusual = {
      when    = local.is_express, severity = "ticket", runbook = "storage-unusual", about = "Storage grows or shrinks outside its usual band; Express storage is billed by the byte."
      metric  = "StorageUsed", stat = "Maximum", period = 300, operator = "outside", threshold = null, periods = 3, if_silent = "notBreaching"
      anomaly = 2
    }
  }

  # One set for each event source mapping. Only those with pollers of their own publish metrics.
  mapping_rows = { for reading, it in local.readings : reading => {
    records-dropped = {
      when   = contains(local.consumers[it.consumer].mapping_metrics, "EventCount"), severity = "page", runbook = "records-dropped", about = "Lambda gave up on records and no destination has them."
      metric = "DroppedEventCount", stat = "Sum", period = 60, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    records-to-destination = {
      when   = contains(local.consumers[it.consumer].mapping_metrics, "EventCount") && local.consumers[it.consumer].failure_destination != "none", severity = "ticket", runbook = "dead-letters", about = "Lambda sent failed batches to the failure destination."
      metric = "OnFailureDestinationDeliveredEventCount", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 1, if_silent = "notBreaching"
    }
    # What each topic's mapping has committed; a mapping without metrics of its own leaves it to the function's.
    nothing-committed = {
      when     = contains(local.consumers[it.consumer].mapping_metrics, "EventCount"), severity = "signal", runbook = "consumer-stalled", about = "The mapping has committed nothing."
      math     = { expression = "FILL(committed, 0)", period = 60, stat = "Sum", metrics = { committed = "CommittedEventCount" } }
      operator = "<", threshold = 1, periods = local.consumers[it.consumer].stalled_minutes, if_silent = "breaching"
    }
    # What the mapping itself says of the lag: MSK says nothing of a group that has never committed.
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#event-source-mapping-metrics
    mapping-lags = {
      when   = length(setsubtract(["EventCount", "KafkaMetrics"], local.consumers[it.consumer].mapping_metrics)) == 0, severity = "signal", runbook = "consumer-stalled", about = "Records wait for the mapping."
      metric = "SumOffsetLag", stat = "Minimum", period = 60, operator = ">", threshold = 0, periods = local.consumers[it.consumer].stalled_minutes, if_silent = "ignore"
    }
    mapping-cannot-poll = {
      when   = contains(local.consumers[it.consumer].mapping_metrics, "ErrorCount"), severity = "ticket", runbook = "mapping-errors", about = "The event source mapping has failed to read from brokers for 30 minutes."
      metric = "PollingErrorCount", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 6, if_silent = "notBreaching"
    }
    mapping-cannot-commit = {
      when   = contains(local.consumers[it.consumer].mapping_metrics, "ErrorCount"), severity = "ticket", runbook = "mapping-errors", about = "The event source mapping cannot commit offsets: records will be handled again."
      metric = "CommitErrorCount", stat = "Sum", period = 300, operator = ">", threshold = 0, periods = 2, if_silent = "notBreaching"
    }
    # A leader of the destination that moves fails one minute's deliveries, and no more.
    destination-unreachable = {
      when   = contains(local.consumers[it.consumer].mapping_metrics, "ErrorCount") && local.consumers[it.consumer].failure_destination != "none", severity = "page", runbook = "records-dropped", about = "The event source mapping cannot deliver to the failure destination."
      metric = "OnFailureDestinationDeliveryErrorCount", stat = "Sum", period = 60, operator = ">", threshold = 0, periods = 3, datapoints = 2, if_silent = "notBreaching"
    }
  } }
}
