# The state machine, the schedules that start it and the compaction, and the topic that it tells.

locals {
  # Errors of Lambda itself that pass. AWS recommends repeating after the first four. The others say that the function
  # was just being changed, or that too many ran at once.
  lambda_errors = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.EC2ThrottledException",
    "Lambda.ResourceConflictException",
    "Lambda.ResourceNotReadyException",
    "Lambda.TooManyRequestsException",
  ]

  # What the mail about a failure says for each kind of error, beside the handler's own text. The last entry is for all
  # other errors.
  remedies = {
    TransientError = {
      errors = ["TransientError"]
      advice = "Something outside was away, busy or slow, even after several tries. The next run tries again: act only if this mail comes again."
    }
    LambdaError = {
      errors = local.lambda_errors
      advice = "Lambda itself was away or too busy, even after several tries. The next run tries again: act only if this mail comes again. With TooManyRequestsException, more functions ran at once than the account's quota of concurrent executions allows."
    }
    ConfigError = {
      errors = ["ConfigError"]
      advice = "Settings, credentials or rights are wrong, and each run fails until they are mended: variables of Terraform, or the value of a secret.${var.emr == null ? "" : " From transform it may be a SELECT that Spark cannot run: `tidemark model check --engine spark` says which, and emr = null does without Spark."}"
    }
    ContractError = {
      errors = ["ContractError"]
      advice = "A source table changed shape so that the model cannot go on. Nothing was written and the watermark stays: mend the model, and the next run goes on."
    }
    DataError = {
      errors = ["DataError"]
      advice = "Rows break a rule, or a verification found a difference. The text says which rows; do not delete anything before you understand it."
    }
    StateError = {
      errors = ["StateError"]
      advice = "Tidemark's own records disagree, and it never repairs them silently. Read the text before you change anything in the buckets or the warehouse."
    }
    Timeout = {
      errors = ["Sandbox.Timedout", "States.Timeout"]
      advice = "Lambda ended the function at its time limit of ${var.timeout_seconds} seconds, in the middle of its work. Nothing that is half done counts. If each run ends like this, raise timeout_seconds or memory_mb. If they are at their limits, run this stage from the command line on a machine of your own."
    }
    Crash = {
      errors = ["Runtime.ExitError", "Runtime.OutOfMemory", "Lambda.Unknown"]
      advice = "The function's process died. Most likely it lacked memory (${var.memory_mb} MB) or room in /tmp (${var.scratch_mb} MB). The last lines of its log say which: raise memory_mb or scratch_mb."
    }
    MissingFunction = {
      errors = ["Lambda.ResourceNotFoundException"]
      advice = "The function is not there: somebody or something removed it. `terraform apply` makes it again, and the next run goes on from where the last one ended."
    }
    TaskFailed = {
      errors = ["TaskFailed"]
      advice = "The task on Fargate, or the job on EMR Serverless, could not be started, or was stopped before its command had ended. The text says why in AWS's own words: rights, the image, the network, time, memory or room on its disk (variables fargate and emr)."
    }
    Unexpected = {
      errors = []
      advice = "Tidemark does not know this error: its name and the text say whether AWS refused something (rights, limits) or Tidemark has a mistake (UnexpectedError). The log has the traceback."
    }
  }

  # What the command line says by its exit code, and a function by the name of an error.
  exit_codes = { UnexpectedError = 1, ConfigError = 2, TransientError = 3, ContractError = 4, DataError = 5, StateError = 6 }

  failure_text = templatefile("${path.module}/failure.txt.tftpl", {
    name             = var.name
    schedule_minutes = var.schedule_enabled ? var.schedule_minutes : null
    executions       = "${local.console}/states/home?region=${local.region}#/v2/executions/details"
  })

  definition = templatefile("${path.module}/state_machine.json.tftpl", {
    name            = var.name
    partition       = local.partition
    functions       = local.function_arns
    function_names  = local.function_names
    log_links       = local.log_links
    timeout_seconds = var.timeout_seconds + 30
    retried_errors  = concat(["TransientError"], local.lambda_errors)
    repetition = {
      IntervalSeconds = var.retry_interval_seconds
      BackoffRate     = 2
      MaxDelaySeconds = var.retry_max_delay_seconds
      JitterStrategy  = "FULL"
      MaxAttempts     = var.retry_attempts
    }
    remedies     = local.remedies
    failure_text = local.failure_text
    topic_arn    = aws_sns_topic.notices.arn
    # What takes over from a function that would have too much to do, by stage.
    handovers = merge(local.task_handovers, local.job_handovers)
    families  = local.exit_codes
  })
}

resource "aws_sfn_state_machine" "run" {
  name       = var.name
  type       = "STANDARD"
  role_arn   = aws_iam_role.service["state-machine"].arn
  definition = local.definition

  logging_configuration {
    log_destination        = "${aws_cloudwatch_log_group.state_machine.arn}:*"
    level                  = "ERROR"
    include_execution_data = false
  }

  # The rights to deliver logs are checked when the state machine is made.
  depends_on = [aws_iam_role_policy.service, aws_iam_role_policy.job]
}

# CloudWatch allows a resource policy of 5120 characters, and each delivery adds its group to it. Groups with this
# prefix need no such entry.
resource "aws_cloudwatch_log_group" "state_machine" {
  name              = "/aws/vendedlogs/states/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_scheduler_schedule" "run" {
  name                = "${var.name}-run"
  description         = "Ingest, transform, load."
  schedule_expression = "rate(${var.schedule_minutes} minutes)"
  state               = var.schedule_enabled ? "ENABLED" : "DISABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_sfn_state_machine.run.arn
    role_arn = aws_iam_role.service["run-schedule"].arn
    input    = "{}"

    # The next run does the same, so a start that is much too late is worth nothing.
    retry_policy {
      maximum_retry_attempts       = 3
      maximum_event_age_in_seconds = 300
    }
  }

  depends_on = [aws_iam_role_policy.service]
}

resource "aws_scheduler_schedule" "compact" {
  name                = "${var.name}-compact"
  description         = "Joins small files of the lake and removes what nothing needs any more."
  schedule_expression = var.compact_schedule
  state               = var.schedule_enabled ? "ENABLED" : "DISABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.this["compact"].arn
    role_arn = aws_iam_role.service["compact-schedule"].arn
    input    = "{}"

    retry_policy {
      maximum_retry_attempts       = 3
      maximum_event_age_in_seconds = 3600
    }
  }

  depends_on = [aws_iam_role_policy.service]
}

# Encrypted at rest only with a customer's key, which costs money each month: alarms cannot publish to a topic that is
# encrypted with AWS's own key.
resource "aws_sns_topic" "notices" {
  name              = "${var.name}-notices"
  display_name      = "Tidemark ${var.name}"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "notices" {
  arn = aws_sns_topic.notices.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.notices.arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
      {
        Sid       = "StateMachine"
        Effect    = "Allow"
        Principal = { AWS = aws_iam_role.service["state-machine"].arn }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.notices.arn
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.notices.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "mail" {
  for_each = toset(var.notification_emails)

  topic_arn = aws_sns_topic.notices.arn
  protocol  = "email"
  endpoint  = each.value
}
