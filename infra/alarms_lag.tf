# The alarms on how far consumer groups are behind: rows of the table in alarms_table.tf, where its columns are
# explained; one set for each topic that a consumer reads.

locals {
  # Whatever the traffic, seconds say how far behind a group is; a number of records does not, and no alarm counts them.
  lag_rows = { for reading, it in local.readings : reading => {
    consumer-lag-time = {
      when   = true, severity = "signal", twin = "MskConsumerLagTime", runbook = "consumer-lag", about = "Catching up would take more than ${var.consumer_lag_limits.time_lag_seconds} s."
      metric = "EstimatedMaxTimeLag", stat = "Maximum", period = 60, operator = ">", threshold = var.consumer_lag_limits.time_lag_seconds, periods = 15, if_silent = "ignore"
    }
    records-wait = {
      when   = true, severity = "signal", runbook = "consumer-stalled", about = "Records wait for the consumer."
      metric = "SumOffsetLag", stat = "Minimum", period = 60, operator = ">", threshold = 0, periods = local.consumers[it.consumer].stalled_minutes, if_silent = "ignore"
    }
    # Only where nothing else tells one topic's consumer from another's; a consumer that is too slow looks the same.
    lag-grows = {
      when     = var.esm_mode == "on_demand" && length(local.consumer_topics[it.consumer]) > 1, severity = "signal", runbook = "consumer-stalled", about = "The lag has grown from minute to minute."
      math     = { expression = "DIFF(lag)", period = 60, stat = "Maximum", metrics = { lag = "SumOffsetLag" } }
      operator = ">", threshold = 0, periods = local.consumers[it.consumer].stalled_minutes, if_silent = "ignore"
    }
  } }
}
