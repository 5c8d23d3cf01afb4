# The alarms on how far consumer groups are behind: rows of the table in alarms_table.tf, where its columns are explained.

locals {
  # Whatever the traffic, seconds say how far behind a group is; a number of records does not, and no alarm counts them.
  lag_rows = {
    consumer-lag-time = {
      when   = true, severity = "signal", twin = "MskConsumerLagTime", runbook = "consumer-lag", about = "Catching up would take more than ${var.consumer_lag_limits.time_lag_seconds} s."
      metric = "EstimatedMaxTimeLag", stat = "Maximum", period = 60, operator = ">", threshold = var.consumer_lag_limits.time_lag_seconds, periods = 15, if_silent = "ignore"
    }
    records-wait = {
      when   = true, severity = "signal", runbook = "consumer-stalled", about = "Records wait for the consumer."
      metric = "SumOffsetLag", stat = "Minimum", period = 60, operator = ">", threshold = 0, periods = local.stalled_minutes, if_silent = "ignore"
    }
    # Only where nothing else tells one topic's consumer from another's; a consumer that is too slow looks the same.
    lag-grows = {
      when     = var.esm_mode == "on_demand" && length(local.consumed_topics) > 1, severity = "signal", runbook = "consumer-stalled", about = "The lag has grown from minute to minute."
      math     = { expression = "DIFF(lag)", period = 60, stat = "Maximum", metrics = { lag = "SumOffsetLag" } }
      operator = ">", threshold = 0, periods = local.stalled_minutes, if_silent = "ignore"
    }
  }

  # MSK's and the functions' metrics are there within two minutes: 7 + 2 < 10. A batch is gathered for as long as its window
  # and may then take as long as the function's timeout, and until then nothing is known; when both together are above 5
  # minutes the page comes later than 10.
  stalled_minutes = max(7, ceil((var.consumer.timeout_seconds + coalesce(var.consumer.batch_window_seconds, 0)) / 60) + 2)
}
