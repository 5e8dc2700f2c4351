# One page that shows at a glance whether all is well, and where to look if not: first state, then rows, then costs.

locals {
  by_table = { for metric in ["RowsIngested", "RowsTransformed", "RowsLoaded"] : metric => "SEARCH('{Tidemark,service,table} service=\"${var.name}\" MetricName=\"${metric}\"', 'Sum', 300)" }

  errors_query = join(" | ", concat(
    [for name in values(local.function_names) : "SOURCE '/aws/lambda/${name}'"],
    [
      "fields @timestamp, coalesce(stage, record.status) as stage_or_status, batch, coalesce(message, record.errorType) as what, execution",
      "filter level in [\"ERROR\", \"CRITICAL\"] or (type = \"platform.report\" and record.status != \"success\")",
      "sort @timestamp desc",
      "limit 50",
    ],
  ))

  # Title, width, height and the rest of each widget; CloudWatch's grid has 24 columns, and rows fill from the left.
  widgets = [
    [{
      type = "alarm", width = 24, height = 4
      properties = {
        title  = "Alarms"
        alarms = [for key in sort(keys(local.alarms)) : local.alarms[key].arn]
      }
    }],
    [{
      type = "metric", width = 6, height = 6
      properties = {
        title  = "Age of the warehouse's rows, newest (seconds)"
        view   = "singleValue"
        region = local.region
        period = 300
        stat   = "Minimum"
        metrics = [
          ["Tidemark", "FreshnessSeconds", "service", var.name, { label = "freshness" }],
        ]
      }
      }, {
      type = "metric", width = 9, height = 6
      properties = {
        title       = "Freshness (seconds)"
        view        = "timeSeries"
        region      = local.region
        period      = 300
        stat        = "Maximum"
        yAxis       = { left = { min = 0 } }
        annotations = { horizontal = [{ label = "alarm", value = var.freshness_minutes * 60 }] }
        metrics = [
          ["Tidemark", "FreshnessSeconds", "service", var.name, { label = "freshness" }],
        ]
      }
      }, {
      type = "metric", width = 9, height = 6
      properties = {
        title   = "Runs by outcome"
        view    = "timeSeries"
        stacked = true
        region  = local.region
        period  = 300
        stat    = "Sum"
        metrics = [
          ["AWS/States", "ExecutionsSucceeded", "StateMachineArn", local.state_machine_arn, { label = "succeeded", color = "#2ca02c" }],
          ["AWS/States", "ExecutionsFailed", "StateMachineArn", local.state_machine_arn, { label = "failed", color = "#d62728" }],
          ["AWS/States", "ExecutionsTimedOut", "StateMachineArn", local.state_machine_arn, { label = "timed out", color = "#ff7f0e" }],
          ["AWS/States", "ExecutionsAborted", "StateMachineArn", local.state_machine_arn, { label = "stopped", color = "#7f7f7f" }],
        ]
      }
    }],
    [{
      type = "metric", width = 12, height = 6
      properties = {
        title  = "Rows by stage"
        view   = "timeSeries"
        region = local.region
        period = 300
        stat   = "Sum"
        metrics = [
          ["Tidemark", "RowsIngested", "service", var.name, { label = "ingested" }],
          ["Tidemark", "RowsTransformed", "service", var.name, { label = "transformed" }],
          ["Tidemark", "RowsLoaded", "service", var.name, { label = "loaded" }],
        ]
      }
      }, {
      type = "metric", width = 12, height = 6
      properties = {
        title  = "Quarantine and warnings (rows in quarantine now; changes of the source's columns)"
        view   = "timeSeries"
        region = local.region
        period = 300
        stat   = "Maximum"
        yAxis  = { left = { min = 0 } }
        metrics = [
          ["Tidemark", "QuarantinedRows", "service", var.name, { label = "rows in quarantine", color = "#d62728" }],
          ["Tidemark", "ContractWarnings", "service", var.name, { label = "changed columns", stat = "Sum", color = "#ff7f0e" }],
        ]
      }
    }],
    [
      for title, metric in { "Ingested, by table" = "RowsIngested", "Transformed, by table" = "RowsTransformed", "Loaded, by table" = "RowsLoaded" } : {
        type                                      = "metric", width = 8, height = 6
        properties = {
          title   = title
          view    = "timeSeries"
          stacked = true
          region  = local.region
          metrics = [[{ expression = local.by_table[metric], label = "$${PROP('Dim.table')}" }]]
        }
      }
    ],
    [{
      type = "metric", width = 8, height = 6
      properties = {
        title       = "Duration of each function, longest (milliseconds)"
        view        = "timeSeries"
        region      = local.region
        period      = 300
        stat        = "Maximum"
        yAxis       = { left = { min = 0 } }
        annotations = { horizontal = [{ label = "alarm", value = local.near_timeout_milliseconds }] }
        metrics     = [for key, name in local.function_names : ["AWS/Lambda", "Duration", "FunctionName", name, { label = key }]]
      }
      }, {
      type = "metric", width = 8, height = 6
      properties = {
        title       = "Memory of each function, highest (MB)"
        view        = "timeSeries"
        region      = local.region
        period      = 300
        stat        = "Maximum"
        yAxis       = { left = { min = 0 } }
        annotations = { horizontal = [{ label = "alarm", value = local.near_memory_mb }] }
        metrics     = [for key, metric in local.memory_metrics : [local.memory_namespace, metric, { label = key }]]
      }
      }, {
      type = "metric", width = 8, height = 6
      properties = {
        title  = "Errors and throttles"
        view   = "timeSeries"
        region = local.region
        period = 300
        stat   = "Sum"
        yAxis  = { left = { min = 0 } }
        metrics = concat(
          [for key, name in local.function_names : ["AWS/Lambda", "Errors", "FunctionName", name, { label = "${key}: errors" }]],
          [for key, name in local.function_names : ["AWS/Lambda", "Throttles", "FunctionName", name, { label = "${key}: throttles" }]],
        )
      }
    }],
    [{
      type = "log", width = 24, height = 8
      properties = {
        title  = "Errors in the logs, newest first"
        view   = "table"
        region = local.region
        query  = local.errors_query
      }
    }],
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.global_name
  dashboard_body = jsonencode({ widgets = flatten(local.widgets) })
}
