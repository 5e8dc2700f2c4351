# The names of everything. ARNs that follow from names are made here, so that a policy can name a thing before it
# exists, and every policy can be read from a plan.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  region     = data.aws_region.current.name
  partition  = data.aws_partition.current.partition

  bucket_names = {
    ingestion = coalesce(var.ingestion_bucket, "${var.name}-ingestion-${local.account_id}-${local.region}")
    processed = coalesce(var.processed_bucket, "${var.name}-processed-${local.account_id}-${local.region}")
    packages  = coalesce(var.packages_bucket, "${var.name}-packages-${local.account_id}-${local.region}")
  }
  bucket_arns = { for key, name in local.bucket_names : key => "arn:${local.partition}:s3:::${name}" }

  # Of tidemark.dashboard.published.
  dashboard_page_key = "dashboard.html"

  pointer_name = "/${var.name}/pointer"
  pointer_arn  = "arn:${local.partition}:ssm:${local.region}:${local.account_id}:parameter${local.pointer_name}"

  stages         = ["ingest", "transform", "load"]
  function_names = { for key in concat(local.stages, ["compact"]) : key => "${var.name}-${key}" }
  function_arns = {
    for key, name in local.function_names :
    key => "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${name}"
  }
  log_group_arns = {
    for key, name in local.function_names :
    key => "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:/aws/lambda/${name}"
  }
  state_machine_arn = "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${var.name}"

  # Names of roles and dashboards must be unique in the account, not only in a region.
  global_name = "${var.name}-${local.region}"

  console_domain = {
    aws        = "console.aws.amazon.com"
    aws-cn     = "console.amazonaws.cn"
    aws-us-gov = "console.amazonaws-us-gov.com"
  }[local.partition]
  console = "https://${local.region}.${local.console_domain}"
  # The console wants a log group's name encoded twice, with $ for %.
  log_link       = "${local.console}/cloudwatch/home?region=${local.region}#logsV2:log-groups/log-group/$252Faws$252F"
  log_links      = { for key, name in local.function_names : key => "${local.log_link}lambda$252F${name}" }
  dashboard_link = "${local.console}/cloudwatch/home?region=${local.region}#dashboards:name=${local.global_name}"
}
