# CloudWatch dashboard: the way of a message from left to right, on one screen. Column by column: API, producer, cluster,
# lag, consumer; in each, first how much, then how fast, then what goes wrong.

locals {
  console_domain = lookup({ "aws-cn" = "amazonaws.cn", "aws-us-gov" = "amazonaws-us-gov.com" }, local.partition, "aws.amazon.com")

  api_metric      = ["ApiId", aws_apigatewayv2_api.this.id, "Stage", aws_apigatewayv2_stage.default.name]
  producer_metric = [local.metrics_namespace, "service", "producer"]
  # What a label begins with, where there are several.
  consumer_labels = { for name in keys(local.consumers) : name => length(local.consumers) == 1 ? "" : "${name}: " }
  dashboard_lags  = [for reading in sort(keys(local.readings)) : { topic = reading, dimensions = ["Cluster Name", local.cluster_name, "Consumer Group", local.readings[reading].group, "Topic", local.readings[reading].topic] }]

  # Each graph: title, metrics as [namespace, name, dimensions ..., options]; unit of the left axis.
  dashboard_columns = [
    {
      title = "1 · API", width = 5
      graphs = [
        {
          title = "Requests", metrics = [for name, label in { Count = "requests", "4xx" = "refused (4xx)", "5xx" = "failed (5xx)" } :
          concat(["AWS/ApiGateway", name], local.api_metric, [{ stat = "Sum", label = label }])]
        },
        {
          title = "Latency (ms)", metrics = [
            concat(["AWS/ApiGateway", "Latency"], local.api_metric, [{ stat = "p50", label = "p50" }]),
            concat(["AWS/ApiGateway", "Latency"], local.api_metric, [{ stat = "p99", label = "p99" }]),
            concat(["AWS/ApiGateway", "IntegrationLatency"], local.api_metric, [{ stat = "p99", label = "function p99" }]),
          ]
        },
        {
          title = "Bytes answered", metrics = [concat(["AWS/ApiGateway", "DataProcessed"], local.api_metric, [{ stat = "Sum", label = "bytes" }])]
        },
      ]
    },
    {
      title = "2 · Producer", width = 5
      graphs = [
        {
          title = "Records", metrics = [
            [local.producer_metric[0], "RecordsPublished", "service", "producer", { stat = "Sum", label = "acknowledged" }],
            [local.producer_metric[0], "RecordsFailed", "service", "producer", { stat = "Sum", label = "failed" }],
          ]
        },
        {
          title = "Time to acknowledgement (ms)", metrics = [for stat in ["p50", "p99", "Maximum"] :
          [local.producer_metric[0], "PublishLatencyMs", "service", "producer", { stat = stat, label = lower(stat) }]]
        },
        {
          title = "Function", metrics = concat(
            [for name in ["Errors", "Throttles"] : ["AWS/Lambda", name, "FunctionName", aws_lambda_function.producer.function_name, { stat = "Sum", label = lower(name) }]],
            [["AWS/Lambda", "ConcurrentExecutions", "FunctionName", aws_lambda_function.producer.function_name, { stat = "Maximum", label = "concurrent" }]],
            [for name, label in { ColdStart = "cold starts", AuthFailures = "authentication failures", ProducerRebuilds = "rebuilds" } :
            [local.producer_metric[0], name, "service", "producer", { stat = "Sum", label = label }]],
          )
        },
      ]
    },
    {
      title = "3 · Cluster", width = 5
      graphs = [
        {
          title = "Bytes in and out per second", metrics = concat(
            [for id in local.broker_ids : ["AWS/Kafka", "BytesInPerSec", "Cluster Name", local.cluster_name, "Broker ID", id, { stat = "Average", label = "in, broker ${id}" }]],
            [for id in local.broker_ids : ["AWS/Kafka", "BytesOutPerSec", "Cluster Name", local.cluster_name, "Broker ID", id, { stat = "Average", label = "out, broker ${id}" }]],
          )
        },
        {
          title = local.is_express ? "CPU (%) and throttling (ms)" : "CPU and disk (%)", metrics = concat(
            [for id in local.broker_ids : ["AWS/Kafka", "CpuUser", "Cluster Name", local.cluster_name, "Broker ID", id, { stat = "Average", label = "CPU, broker ${id}" }]],
            [for id in local.broker_ids : ["AWS/Kafka", local.is_express ? "ProduceThrottleTime" : "KafkaDataLogsDiskUsed", "Cluster Name", local.cluster_name, "Broker ID", id, { stat = "Maximum", label = "${local.is_express ? "throttled" : "disk"}, broker ${id}" }]],
          )
        },
        {
          title = "Health", metrics = concat(
            [["AWS/Kafka", "ActiveControllerCount", "Cluster Name", local.cluster_name, { stat = "Maximum", label = "active controllers" }]],
            local.is_express ? [["AWS/Kafka", "StorageUsed", "Cluster Name", local.cluster_name, { stat = "Maximum", label = "bytes stored", yAxis = "right" }]] : [["AWS/Kafka", "OfflinePartitionsCount", "Cluster Name", local.cluster_name, { stat = "Maximum", label = "offline partitions" }]],
            [for pair in local.is_express ? [] : setproduct(["UnderReplicatedPartitions", "UnderMinIsrPartitionCount"], local.broker_ids) :
            ["AWS/Kafka", pair[0], "Cluster Name", local.cluster_name, "Broker ID", pair[1], { stat = "Maximum", label = "${pair[0]}, broker ${pair[1]}" }]],
          )
        },
      ]
    },
    {
      title = "4 · Lag", width = 4
      graphs = [
        { title = "Time to catch up (s)", metrics = [for lag in local.dashboard_lags : concat(["AWS/Kafka", "EstimatedMaxTimeLag"], lag.dimensions, [{ stat = "Maximum", label = lag.topic }])] },
        { title = "Records behind", metrics = [for lag in local.dashboard_lags : concat(["AWS/Kafka", "SumOffsetLag"], lag.dimensions, [{ stat = "Maximum", label = lag.topic }])] },
        { title = "Worst partition", metrics = [for lag in local.dashboard_lags : concat(["AWS/Kafka", "MaxOffsetLag"], lag.dimensions, [{ stat = "Maximum", label = lag.topic }])] },
      ]
    },
    {
      title = length(local.consumers) > 1 ? "5 · Consumers" : "5 · Consumer", width = 5
      graphs = [
        {
          title = "Records", metrics = concat([], [for consumer, it in local.consumers : [for name, label in { RecordsDone = "handled", RecordsRetried = "retried", RecordsSkipped = "skipped", DeadLettered = "dead letters" } :
          [it.metrics_namespace, name, "service", "consumer", { stat = "Sum", label = "${local.consumer_labels[consumer]}${label}" }]]]...)
        },
        {
          title = "Age of records when handled (ms)", metrics = concat([], [for consumer, it in local.consumers : [for name, label in { RecordAgeP50Ms = "p50", RecordAgeP99Ms = "p99", RecordAgeMaxMs = "max" } :
          [it.metrics_namespace, name, "service", "consumer", { stat = "Maximum", label = "${local.consumer_labels[consumer]}${label}" }]]]...)
        },
        {
          title = "Function", metrics = concat([], [for consumer, it in local.consumers : concat(
            [for name in ["Errors", "Throttles"] : ["AWS/Lambda", name, "FunctionName", module.consumer[consumer].function.function_name, { stat = "Sum", label = "${local.consumer_labels[consumer]}${lower(name)}" }]],
            [["AWS/Lambda", "ConcurrentExecutions", "FunctionName", module.consumer[consumer].function.function_name, { stat = "Maximum", label = "${local.consumer_labels[consumer]}concurrent" }]],
            [for name, label in { RecordsPoisoned = "poisoned", DecodeErrors = "undecodable" } : [it.metrics_namespace, name, "service", "consumer", { stat = "Sum", label = "${local.consumer_labels[consumer]}${label}" }]],
          )]...)
        },
      ]
    },
  ]

  # A grid of 24 columns; 18 rows are what a laptop shows without scrolling.
  dashboard_top  = 3
  dashboard_row  = 5
  dashboard_left = [for index, column in local.dashboard_columns : sum(concat([0], slice(local.dashboard_columns[*].width, 0, index)))]

  dashboard_widgets = concat(
    [{
      type       = "alarm", x = 0, y = 0, width = 24, height = local.dashboard_top
      properties = { title = "Is anything wrong?", alarms = concat([for alarm in aws_cloudwatch_composite_alarm.this : alarm.arn], [for key in concat(["api-5xx", "producer-errors"], flatten([for name in keys(local.consumers) : ["${name}-errors", "${name}-dead-letters"]])) : aws_cloudwatch_metric_alarm.this[key].arn]) }
    }],
    flatten([for index, column in local.dashboard_columns : [for row, graph in column.graphs : {
      type = "metric", x = local.dashboard_left[index], y = local.dashboard_top + local.dashboard_row * row, width = column.width, height = local.dashboard_row
      properties = {
        title = row == 0 ? "${column.title}: ${lower(graph.title)}" : graph.title, metrics = graph.metrics, region = var.region
        view  = "timeSeries", stacked = false, period = 60, yAxis = { left = { min = 0, showUnits = false } }
      }
    } if length(graph.metrics) > 0]]),
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.name
  dashboard_body = jsonencode({ widgets = local.dashboard_widgets })
}
