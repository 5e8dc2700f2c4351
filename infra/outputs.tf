output "next_steps" {
  description = "What is left to do after the first apply."
  value = join("\n\n", concat(
    var.source_secret_arn != null ? [] : [
      "Say how to reach the source, in a file source.json that you delete afterwards:\n  {\"host\": \"...\", \"port\": 5432, \"dbname\": \"...\", \"username\": \"...\", \"password\": \"...\"}\n  ${local.put_secret_commands.source}",
    ],
    var.warehouse_secret_arn != null ? [] : [
      "Say how to reach the warehouse, in a file warehouse.json of the same shape:\n  ${local.put_secret_commands.warehouse}",
    ],
    length(var.notification_emails) == 0 ? ["Nobody gets a mail yet: set notification_emails, and apply again."] : [
      "Confirm the subscription in the mail that AWS sent to ${join(", ", var.notification_emails)}.",
    ],
    [
      "Create the warehouse's tables once, as their owner: docs/aws.md.",
      "Start the first run:\n  ${local.start_command} --input '{}'",
    ],
    var.schedule_enabled ? [] : [
      "When it has ended well: set schedule_enabled = true, and apply again.",
    ],
  ))
}

locals {
  put_secret_commands = {
    source    = "aws secretsmanager put-secret-value --region ${local.region} --secret-id ${local.source_secret_arn} --secret-string file://source.json"
    warehouse = "aws secretsmanager put-secret-value --region ${local.region} --secret-id ${local.warehouse_secret_arn} --secret-string file://warehouse.json"
  }
  start_command = "aws stepfunctions start-execution --region ${local.region} --state-machine-arn ${local.state_machine_arn}"
}

output "put_secret_commands" {
  description = "The commands that fill the secret of each database from a file."
  value       = local.put_secret_commands
}

output "run_commands" {
  description = "The commands that start a run, a backfill, a rebuild, a verification and a compaction by hand, and one that says how far the log is."
  value = {
    run      = "${local.start_command} --input '{}'"
    backfill = "${local.start_command} --input '{\"backfill\": {\"from\": \"2024-11-01\", \"to\": \"2024-11-08\"}}'"
    rebuild  = "${local.start_command} --input '{\"rebuild\": \"star\"}'"
    verify   = "${local.start_command} --input '{\"verify\": true}'"
    compact  = "aws lambda invoke --region ${local.region} --function-name ${local.function_names["compact"]} --cli-read-timeout 0 /dev/stdout"
    status   = "aws ssm get-parameter --region ${local.region} --name ${local.pointer_name} --query Parameter.Value --output text"
  }
}

# The provider signs no link, and one in the state would be a secret there that is soon stale.
output "dashboard_page_command" {
  description = "The command that prints a link to the page of the dashboard, good for an hour and for no longer than the credentials that sign it. Null without dashboard_page."
  value       = var.dashboard_page ? "aws s3 presign s3://${local.bucket_names.processed}/${local.dashboard_page_key} --region ${local.region} --expires-in 3600" : null
}

output "cli_environment" {
  description = "Settings by which the command line works on the same pipeline: eval \"$(terraform output -raw cli_environment)\"."
  value = join("\n", [
    for key, value in merge(local.scope, var.mask_salt_secret_arn == null ? {} : { TIDEMARK_MASK_SALT_SECRET = var.mask_salt_secret_arn }, {
      AWS_REGION                                                                                             = local.region
      TIDEMARK_MODEL                                                                                         = var.model
      TIDEMARK_INGESTION                                                                                     = local.ingestion_url
      TIDEMARK_PROCESSED                                                                                     = local.processed_url
      TIDEMARK_POINTER                                                                                       = "ssm:${local.pointer_name}"
      TIDEMARK_SOURCE_SECRET                                                                                 = local.source_secret_arn
      TIDEMARK_WAREHOUSE_SECRET                                                                              = local.warehouse_secret_arn
      TIDEMARK_LAG                                                                                           = var.lag
      TIDEMARK_YIELD_AFTER                                                                                   = var.yield_after
    }) : "export ${key}='${value}'"
  ])
}

output "kms_key_statements" {
  description = "Statements that the policy of kms_key_arn needs before the apply that names it, so that logs are kept and alarms reach the topic. Roles get their rights on the key from their own policies."
  value = jsonencode([
    {
      Sid       = "TidemarkLogs"
      Effect    = "Allow"
      Principal = { Service = "logs.${local.region}.${data.aws_partition.current.dns_suffix}" }
      Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
      Resource  = "*"
      Condition = {
        ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:*" }
      }
    },
    {
      Sid       = "TidemarkAlarms"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
      Resource  = "*"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    },
  ])
}

output "buckets" {
  description = "Names of the buckets."
  value       = { for key, bucket in aws_s3_bucket.this : key => bucket.id }
}

output "functions" {
  description = "Names of the functions."
  value       = { for key, function in aws_lambda_function.this : key => function.function_name }
}

output "log_groups" {
  description = "Names of the log groups."
  value = merge(
    { for key, group in aws_cloudwatch_log_group.function : key => group.name },
    { state_machine = aws_cloudwatch_log_group.state_machine.name },
  )
}

output "secrets" {
  description = "ARNs of the secrets that hold the two databases' credentials."
  value       = { source = local.source_secret_arn, warehouse = local.warehouse_secret_arn }
}

output "pointer" {
  description = "Name of the parameter that holds the pointer."
  value       = aws_ssm_parameter.pointer.name
}

output "state_machine_arn" {
  description = "ARN of the state machine."
  value       = aws_sfn_state_machine.run.arn
}

output "topic_arn" {
  description = "ARN of the topic that failures and alarms go to, for more subscribers than mails."
  value       = aws_sns_topic.notices.arn
}

output "dashboard_url" {
  description = "The dashboard in the console."
  value       = local.dashboard_link
}

output "catalog" {
  description = "The database of the Glue Data Catalog and the ARN of the policy for whoever runs tidemark catalog; null without catalog_database."
  value       = one([for policy in aws_iam_policy.catalog : { database = var.catalog_database, policy_arn = policy.arn }])
}
