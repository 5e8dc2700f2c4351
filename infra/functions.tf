# Three packages, four functions: compact uses ingest's package, which has all of the libraries. With var.emr there is the
# package of the job too.

locals {
  package_directory = startswith(var.package_directory, "/") ? var.package_directory : "${path.module}/${var.package_directory}"
  packages          = { for key in concat(local.stages, var.emr == null ? [] : ["job"]) : key => "${local.package_directory}/${key}.zip" }
  # What `make package` wrote down about the packages; null if they were made in another way.
  made = fileexists("${local.package_directory}/packages.json") ? jsondecode(file("${local.package_directory}/packages.json")) : null

  # Where `make package SSLROOTCERT=…` puts the certificate authorities.
  packed_certificates = "/var/task/rds-ca.pem"

  ingestion_url = "s3://${local.bucket_names.ingestion}"
  processed_url = "s3://${local.bucket_names.processed}"

  common_environment = merge(
    {
      TIDEMARK_MODEL          = var.model
      POWERTOOLS_SERVICE_NAME = var.name
      POWERTOOLS_LOG_LEVEL    = var.log_level
      # For each request to S3 and the like. The state machine repeats as well. If there is no way to a service, the
      # error should come soon.
      AWS_MAX_ATTEMPTS = "5"
    },
    local.scope,
    var.sslrootcert == null ? {} : { TIDEMARK_SSLROOTCERT = var.sslrootcert },
    var.show_values ? { TIDEMARK_SHOW_VALUES = "true" } : {},
  )
  # Which tables and columns a mirror takes.
  scope = {
    for name, names in { SCHEMAS = var.schemas, INCLUDE = var.include, EXCLUDE = var.exclude } :
    "TIDEMARK_${name}" => join(",", names) if length(names) > 0
  }
  memory_limit = "${floor(var.memory_mb / 2)}MB"

  functions = {
    ingest = {
      package     = "ingest"
      description = "Polls the source and writes what changed to the change log."
      environment = merge(
        {
          TIDEMARK_SOURCE_SECRET = local.source_secret_arn
          TIDEMARK_INGESTION     = local.ingestion_url
          TIDEMARK_POINTER       = "ssm:${local.pointer_name}"
          TIDEMARK_LAG           = var.lag
          TIDEMARK_YIELD_AFTER   = var.yield_after
          TIDEMARK_MEMORY_LIMIT  = local.memory_limit
        },
        var.mask_salt_secret_arn == null ? {} : { TIDEMARK_MASK_SALT_SECRET = var.mask_salt_secret_arn },
      )
    }
    transform = {
      package     = "transform"
      description = "Makes the star schema out of the change log."
      environment = {
        TIDEMARK_INGESTION    = local.ingestion_url
        TIDEMARK_PROCESSED    = local.processed_url
        TIDEMARK_MEMORY_LIMIT = local.memory_limit
      }
    }
    load = {
      package     = "load"
      description = "Brings the star schema into the warehouse."
      environment = merge(
        {
          TIDEMARK_PROCESSED        = local.processed_url
          TIDEMARK_WAREHOUSE_SECRET = local.warehouse_secret_arn
        },
        var.dashboard_page ? { TIDEMARK_DASHBOARD_PAGE = "true" } : {},
      )
    }
    compact = {
      package     = "ingest"
      description = "Joins small files of the lake and removes what nothing needs any more."
      environment = {
        TIDEMARK_INGESTION        = local.ingestion_url
        TIDEMARK_PROCESSED        = local.processed_url
        TIDEMARK_WAREHOUSE_SECRET = local.warehouse_secret_arn
        TIDEMARK_MEMORY_LIMIT     = local.memory_limit
      }
    }
  }
}

# One key for all versions of a package: the bucket keeps the older ones for noncurrent_days. With a key for each
# content Terraform would delete the package before, with all of its versions.
resource "aws_s3_object" "package" {
  for_each = local.packages

  bucket      = aws_s3_bucket.this["packages"].id
  key         = "${each.key}.zip"
  source      = each.value
  source_hash = fileexists(each.value) ? filesha256(each.value) : null

  lifecycle {
    precondition {
      condition     = fileexists(each.value)
      error_message = "There is no ${each.value}: run `make package${each.key == "job" ? " JOB=1" : ""}` first, or set package_directory to where the zip files are."
    }
    precondition {
      condition = local.made == null || try(
        local.made.runtime == var.runtime && local.made.architecture == var.architecture && local.made.packages["${each.key}.zip"] == filesha256(each.value),
        false,
      )
      error_message = "${each.value} was not made for ${var.runtime} on ${var.architecture}, as packages.json beside it says: run `make package RUNTIME=${var.runtime} ARCHITECTURE=${var.architecture}${each.key == "job" ? " JOB=1" : ""}`."
    }
    precondition {
      condition     = local.made == null || var.sslrootcert != local.packed_certificates || try(local.made.certificates, false)
      error_message = "${each.value} holds no certificate authorities, so a function could not tell the databases from somebody else: run `make package SSLROOTCERT=global-bundle.pem` with AWS's bundle for RDS (docs/aws.md). If the databases have no certificates, set sslrootcert = null: connections are then encrypted, and nothing proves who is at the other end."
    }
  }

  # Without this, the first upload would have no version.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${local.function_names[each.key]}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_lambda_function" "this" {
  for_each = local.functions

  function_name = local.function_names[each.key]
  description   = each.value.description
  role          = aws_iam_role.function[each.key].arn
  handler       = "tidemark.aws.${each.key}.handler"
  runtime       = var.runtime
  architectures = [var.architecture]

  s3_bucket         = aws_s3_object.package[each.value.package].bucket
  s3_key            = aws_s3_object.package[each.value.package].key
  s3_object_version = aws_s3_object.package[each.value.package].version_id
  source_code_hash  = fileexists(local.packages[each.value.package]) ? filebase64sha256(local.packages[each.value.package]) : null

  memory_size                    = var.memory_mb
  timeout                        = var.timeout_seconds
  reserved_concurrent_executions = var.reserved_concurrency == null ? -1 : var.reserved_concurrency

  ephemeral_storage {
    size = var.scratch_mb
  }

  environment {
    variables = merge(local.common_environment, each.value.environment)
  }

  logging_config {
    log_group  = aws_cloudwatch_log_group.function[each.key].name
    log_format = "JSON"
    # Powertools prefers this level to POWERTOOLS_LOG_LEVEL.
    application_log_level = var.log_level
    system_log_level      = "INFO" # the alarm on memory reads the report of each invocation
  }

  dynamic "vpc_config" {
    for_each = length(var.subnet_ids) > 0 ? [true] : []

    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  # Lambda needs the rights on network interfaces when it makes the function.
  depends_on = [aws_iam_role_policy.function]
}

# The scheduler only hands a compaction to Lambda, and Lambda repeats it if it fails. Once is enough, since the next
# day's compaction would do as well.
resource "aws_lambda_function_event_invoke_config" "compact" {
  function_name                = aws_lambda_function.this["compact"].function_name
  maximum_retry_attempts       = 1
  maximum_event_age_in_seconds = 3600
}
