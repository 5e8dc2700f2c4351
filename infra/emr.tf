# A job of Spark on EMR Serverless for what transform has too many rows of for a function. Nothing of this is made
# without var.emr. The state machine starts the job when the function says that more rows are to come.

locals {
  job_name     = "${var.name}-transform"
  job_log      = "/aws/emr-serverless/${local.job_name}"
  job_log_arn  = "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:${local.job_log}"
  job_log_link = "${local.log_link}emr-serverless$252F${local.job_name}"
  # Everything of the job that lies in the bucket of the packages.
  job_files = var.emr == null ? {} : { archive = "job.zip", entry = "job.py" }
  job_urls  = { for key, file in local.job_files : key => "s3://${local.bucket_names.packages}/${file}" }

  # The command runs by the Python 3.11 of the release, for which the package was made.
  job_python = "/usr/bin/python3.11"
  job_environment = merge(
    { for name, value in local.common_environment : name => value if name != "TIDEMARK_SSLROOTCERT" },
    local.functions.transform.environment,
    {
      AWS_REGION            = local.region
      PYSPARK_DRIVER_PYTHON = local.job_python
      PYSPARK_PYTHON        = local.job_python
      TIDEMARK_ENGINE       = "spark"
      TIDEMARK_MEMORY_LIMIT = try("${var.emr.driver.memory_gb * 512}MB", "")
    },
  )
  # What a worker has, in MB. DuckDB and the command work beside the driver's JVM, in its overhead. Nothing but the JVM
  # works on the others, which need the tenth that EMR asks for.
  job_memory = var.emr == null ? {} : {
    driver   = { whole = var.emr.driver.memory_gb * 1024, heap = floor(var.emr.driver.memory_gb * 1024 / 4) }
    executor = { whole = var.emr.workers.memory_gb * 1024, heap = floor(var.emr.workers.memory_gb * 1024 * 0.9) }
  }
  job_properties = var.emr == null ? {} : merge(
    {
      "spark.archives"                       = "${local.job_urls.archive}#package"
      "spark.driver.cores"                   = tostring(var.emr.driver.cpu)
      "spark.executor.cores"                 = tostring(var.emr.workers.cpu)
      "spark.emr-serverless.driver.disk"     = "${var.emr.driver.scratch_gb}G"
      "spark.emr-serverless.executor.disk"   = "${var.emr.workers.scratch_gb}G"
      "spark.dynamicAllocation.maxExecutors" = tostring(var.emr.workers.most)
      "spark.executorEnv.PYSPARK_PYTHON"     = local.job_python
    },
    merge([for worker, memory in local.job_memory : {
      "spark.${worker}.memory"         = "${memory.heap}m"
      "spark.${worker}.memoryOverhead" = "${memory.whole - memory.heap}m"
    }]...),
    { for name, value in local.job_environment : "spark.emr-serverless.driverEnv.${name}" => value },
  )

  job_statements = { for concern, statements in merge(local.function_statements.transform, {
    logs = [
      { Effect = "Allow", Action = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], Resource = [local.job_log_arn, "${local.job_log_arn}:*"] },
      # This action belongs to no one group.
      { Effect = "Allow", Action = ["logs:DescribeLogGroups"], Resource = ["*"] },
    ]
    # Where Spark and DuckDB hand each other the files of a SELECT: Spark's way of putting them cannot say If-None-Match.
    scratch = [{ Effect = "Allow", Action = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"], Resource = ["${local.bucket_arns.processed}/tidemark-scratch/*"] }]
    package = [{ Effect = "Allow", Action = ["s3:GetObject"], Resource = [for file in values(local.job_files) : "${local.bucket_arns.packages}/${file}"] }]
  }) : "job/${concern}" => statements if var.emr != null }

  # What the state machine may do with the job. It learns of its end by a rule of EventBridge that AWS itself names.
  job_run_statements = flatten([for application in aws_emrserverless_application.transform : [
    { Effect = "Allow", Action = ["emr-serverless:ListJobRuns", "emr-serverless:StartJobRun"], Resource = [application.arn] },
    { Effect = "Allow", Action = ["emr-serverless:CancelJobRun", "emr-serverless:GetJobRun"], Resource = ["${application.arn}/jobruns/*"] },
    { Effect = "Allow", Action = ["iam:PassRole"], Resource = ["arn:${local.partition}:iam::${local.account_id}:role/${local.global_name}-transform-job"], Condition = { StringEquals = { "iam:PassedToService" = "emr-serverless.amazonaws.com" } } },
    { Effect = "Allow", Action = ["events:DescribeRule", "events:PutRule", "events:PutTargets"], Resource = ["arn:${local.partition}:events:${local.region}:${local.account_id}:rule/StepFunctionsGetEventsForEMRServerlessJobRule"] },
  ]])
}

locals {
  # As task_handovers (fargate.tf).
  job_handovers = { for application in aws_emrserverless_application.transform : "transform" => {
    kind      = "job"
    name      = local.job_name
    log       = local.job_log_link
    from_rows = var.emr.from_rows
    seconds   = var.emr.timeout_minutes * 60
    at_work   = "$.at_work.JobRuns[0]"
    look = {
      Resource   = "arn:${local.partition}:states:::aws-sdk:emrserverless:listJobRuns"
      Parameters = { ApplicationId = application.id, States = ["SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING", "QUEUED"] }
    }
    run = {
      Resource = "arn:${local.partition}:states:::emr-serverless:startJobRun.sync"
      Parameters = {
        ApplicationId           = application.id
        ExecutionRoleArn        = aws_iam_role.job[0].arn
        Name                    = local.job_name
        ExecutionTimeoutMinutes = var.emr.timeout_minutes
        JobDriver               = { SparkSubmit = { EntryPoint = local.job_urls.entry, EntryPointArguments = ["transform", "--json"] } }
        ConfigurationOverrides = {
          ApplicationConfiguration = [{ Classification = "spark-defaults", Properties = local.job_properties }]
          MonitoringConfiguration = {
            CloudWatchLoggingConfiguration            = { Enabled = true, LogGroupName = aws_cloudwatch_log_group.job[0].name, LogStreamNamePrefix = "transform" }
            ManagedPersistenceMonitoringConfiguration = { Enabled = false }
          }
        }
      }
    }
    # What passes, by the names that Step Functions' two ways to EMR Serverless may give it. A job that has failed is
    # none of these, so it is not started again.
    passing = [for each in setproduct(["EMRServerless", "EmrServerless"], ["ConflictException", "InternalServerException", "ServiceQuotaExceededException", "ThrottlingException"]) : join(".", each)]
  } }
}

resource "aws_emrserverless_application" "transform" {
  count = var.emr == null ? 0 : 1

  name          = local.job_name
  release_label = var.emr.release
  type          = "spark"
  architecture  = upper(var.architecture)

  # What all workers have together: more cannot be spent at one moment.
  maximum_capacity {
    cpu    = "${var.emr.driver.cpu + var.emr.workers.most * var.emr.workers.cpu} vCPU"
    memory = "${var.emr.driver.memory_gb + var.emr.workers.most * var.emr.workers.memory_gb} GB"
    disk   = "${var.emr.driver.scratch_gb + var.emr.workers.most * var.emr.workers.scratch_gb} GB"
  }

  auto_start_configuration {
    enabled = true
  }

  auto_stop_configuration {
    enabled              = true
    idle_timeout_minutes = 1
  }

  dynamic "image_configuration" {
    for_each = compact([var.emr.image])

    content {
      image_uri = image_configuration.value
    }
  }
}

resource "aws_s3_object" "job_entry" {
  count = var.emr == null ? 0 : 1

  bucket  = aws_s3_bucket.this["packages"].id
  key     = local.job_files.entry
  content = file("${path.module}/job.py")

  # As of the packages.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_cloudwatch_log_group" "job" {
  count = var.emr == null ? 0 : 1

  name              = local.job_log
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "job" {
  count = var.emr == null ? 0 : 1

  name               = "${local.global_name}-transform-job"
  description        = "What the job ${local.job_name} may do: the same as the function, beside its scratch files and its package."
  assume_role_policy = local.task_trusts["emr-serverless"]
}

resource "aws_iam_role_policy" "job" {
  for_each = local.job_statements

  role   = aws_iam_role.job[0].id
  name   = split("/", each.key)[1]
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}
