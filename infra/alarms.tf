# Each alarm tells the topic. Its description tells whoever gets the mail what to do.

locals {
  stale_after_minutes = var.stale_after_minutes == null ? max(30, 3 * var.schedule_minutes) : var.stale_after_minutes
  # So many five-minute periods surely hold a run, so one failure keeps its alarm on until the next run has ended.
  periods_with_a_run = ceil(var.schedule_minutes / 5) + 1

  # How long each kind of what is left to somebody else may take.
  longest_minutes = concat([for task in values(local.tasks) : local.task_minutes], var.emr == null ? [] : [var.emr.timeout_minutes])

  near_timeout_milliseconds = 0.8 * var.timeout_seconds * 1000
  near_memory_mb            = 0.85 * var.memory_mb
  # A namespace for each pipeline: Lambda's report of an invocation names no function, so its metric has no dimension.
  memory_namespace = "Tidemark/${var.name}"
  memory_metrics   = { for key in keys(local.function_names) : key => "MaxMemoryUsedMB-${key}" }

  see_also = "More: docs/operations.md#alarms"
}

# One alarm for each metric: a sum of them has no value until each metric has come once, and time-outs may never come.
resource "aws_cloudwatch_metric_alarm" "run_failed" {
  for_each = {
    failed    = { metric = "ExecutionsFailed", what = "failed. A mail of its own says what failed and what to do; without one, look at the state machine's executions." }
    timed-out = { metric = "ExecutionsTimedOut", what = "timed out as a whole, without a mail of its own. Look at the state machine's executions; the next run goes on from where it ended." }
    aborted   = { metric = "ExecutionsAborted", what = "was stopped by somebody, without a mail of its own. Nothing is lost: the next run goes on from where it ended." }
  }

  alarm_name          = "${var.name}-run-${each.key}"
  alarm_description   = "A run of ${var.name} ${each.value.what} ${local.see_also}"
  namespace           = "AWS/States"
  metric_name         = each.value.metric
  dimensions          = { StateMachineArn = local.state_machine_arn }
  statistic           = "Sum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = local.periods_with_a_run
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.notices.arn]
}

resource "aws_cloudwatch_metric_alarm" "no_success" {
  # With the schedule off nobody expects a run.
  count = var.schedule_enabled ? 1 : 0

  alarm_name          = "${var.name}-no-successful-run"
  alarm_description   = "No run of ${var.name} has ended well for ${local.stale_after_minutes} minutes: the warehouse falls behind. If runs fail, do what their mails say; if none start, look at the schedule ${var.name}-run and its role. ${local.see_also}"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  evaluation_periods  = ceil(local.stale_after_minutes / 5)
  datapoints_to_alarm = ceil(local.stale_after_minutes / 5)
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.notices.arn]

  # Otherwise CloudWatch would take older points in the place of missing ones, and raise the alarm later. Before the
  # first success there is nothing to fill, and "breaching" raises the alarm.
  metric_query {
    id          = "successful"
    label       = "runs that ended well"
    expression  = "FILL(succeeded, 0)"
    return_data = true
  }

  metric_query {
    id = "succeeded"

    metric {
      namespace   = "AWS/States"
      metric_name = "ExecutionsSucceeded"
      dimensions  = { StateMachineArn = local.state_machine_arn }
      period      = 300
      stat        = "Sum"
    }
  }
}

# The next two metrics are gauges, written once in each run: between two runs the alarm keeps its state.

resource "aws_cloudwatch_metric_alarm" "quarantine" {
  alarm_name          = "${var.name}-quarantine"
  alarm_description   = "Rows of ${var.name} lie in quarantine; all others flow. `tidemark quarantine list` counts them by reason, and docs/operations.md#quarantine says what to do about each. ${local.see_also}"
  namespace           = "Tidemark"
  metric_name         = "QuarantinedRows"
  dimensions          = { service = var.name }
  statistic           = "Maximum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "ignore"
  alarm_actions       = [aws_sns_topic.notices.arn]
}

resource "aws_cloudwatch_metric_alarm" "freshness" {
  alarm_name          = "${var.name}-freshness"
  alarm_description   = "What the warehouse of ${var.name} shows is older than ${var.freshness_minutes} minutes, though runs end well: load takes longer than the schedule allows, or batches wait. `tidemark status` says how many. ${local.see_also}"
  namespace           = "Tidemark"
  metric_name         = "FreshnessSeconds"
  dimensions          = { service = var.name }
  statistic           = "Minimum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.freshness_minutes * 60
  evaluation_periods  = 1
  treat_missing_data  = "ignore"
  alarm_actions       = [aws_sns_topic.notices.arn]
}

resource "aws_cloudwatch_metric_alarm" "near_timeout" {
  for_each = local.function_names

  alarm_name          = "${each.value}-near-timeout"
  alarm_description   = "${each.value} took more than 80 % of its ${var.timeout_seconds} seconds. Raise memory_mb, which raises its share of processors too, or timeout_seconds (900 at most), before Lambda ends it in the middle of its work. ${local.see_also}"
  namespace           = "AWS/Lambda"
  metric_name         = "Duration"
  dimensions          = { FunctionName = each.value }
  statistic           = "Maximum"
  period              = 300
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = local.near_timeout_milliseconds
  evaluation_periods  = local.periods_with_a_run
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.notices.arn]
}

# What is left to a task or a job may take hours. While it does, later runs are skipped, and end well.
resource "aws_cloudwatch_metric_alarm" "run_long" {
  count = length(local.longest_minutes) > 0 ? 1 : 0

  alarm_name          = "${var.name}-run-near-timeout"
  alarm_description   = "A run of ${var.name} took more than 80 % of the ${min(local.longest_minutes...)} minutes after which its task or job would have been stopped in the middle of its work. Give it more processors (variables fargate and emr), or a job more time. ${local.see_also}"
  namespace           = "AWS/States"
  metric_name         = "ExecutionTime"
  dimensions          = { StateMachineArn = local.state_machine_arn }
  statistic           = "Maximum"
  period              = 300
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 0.8 * min(local.longest_minutes...) * 60 * 1000
  evaluation_periods  = local.periods_with_a_run
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.notices.arn]
}

resource "aws_cloudwatch_log_metric_filter" "memory" {
  for_each = local.function_names

  name           = "${each.value}-memory"
  log_group_name = aws_cloudwatch_log_group.function[each.key].name
  pattern        = "{ $.type = \"platform.report\" }"

  metric_transformation {
    namespace = local.memory_namespace
    name      = local.memory_metrics[each.key]
    value     = "$.record.metrics.maxMemoryUsedMB"
    unit      = "Megabytes"
  }
}

resource "aws_cloudwatch_metric_alarm" "near_memory" {
  for_each = local.function_names

  alarm_name          = "${each.value}-near-memory"
  alarm_description   = "${each.value} used more than 85 % of its ${var.memory_mb} MB. Raise memory_mb, before Lambda ends it in the middle of its work. ${local.see_also}"
  namespace           = local.memory_namespace
  metric_name         = local.memory_metrics[each.key]
  statistic           = "Maximum"
  period              = 300
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = local.near_memory_mb
  evaluation_periods  = local.periods_with_a_run
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.notices.arn]
}

resource "aws_cloudwatch_metric_alarm" "throttles" {
  for_each = local.function_names

  alarm_name          = "${each.value}-throttles"
  alarm_description   = "Lambda refused to start ${each.value} because too many functions ran at once. Runs are tried again by themselves. If the alarm stays on, raise the account's quota of concurrent executions or reserved_concurrency. ${local.see_also}"
  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = each.value }
  statistic           = "Sum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = local.periods_with_a_run
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.notices.arn]
}

# A failed stage fails its run. A compaction belongs to no run, so it needs an alarm of its own.
resource "aws_cloudwatch_metric_alarm" "compact_failed" {
  alarm_name          = "${var.name}-compact-failed"
  alarm_description   = "The compaction of ${var.name} failed. Nothing is lost and runs go on, but the lake's files grow in number. Tomorrow's compaction tries again. If the alarm comes again, see the log of ${local.function_names["compact"]}: ${local.log_links["compact"]} ${local.see_also}"
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = local.function_names["compact"] }
  statistic           = "Sum"
  period              = 300
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.notices.arn]
}

locals {
  alarms = merge(
    {
      quarantine     = aws_cloudwatch_metric_alarm.quarantine
      freshness      = aws_cloudwatch_metric_alarm.freshness
      compact_failed = aws_cloudwatch_metric_alarm.compact_failed
    },
    { for key, alarm in aws_cloudwatch_metric_alarm.run_failed : "run_${key}" => alarm },
    { for index, alarm in aws_cloudwatch_metric_alarm.no_success : "no_success" => alarm },
    { for index, alarm in aws_cloudwatch_metric_alarm.run_long : "run_long" => alarm },
    { for key, alarm in aws_cloudwatch_metric_alarm.near_timeout : "near_timeout_${key}" => alarm },
    { for key, alarm in aws_cloudwatch_metric_alarm.near_memory : "near_memory_${key}" => alarm },
    { for key, alarm in aws_cloudwatch_metric_alarm.throttles : "throttles_${key}" => alarm },
  )
}
