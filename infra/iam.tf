# One role for each function, the state machine and each schedule; one policy for each concern of a role. The documents
# are made with jsonencode and not by data sources, so that tests and policies.py can read each statement from plan or
# state.

locals {
  # The folders of a bucket in which a function makes objects, holds Delta tables, and from which it deletes, and the
  # objects that it replaces; it may read the whole bucket. Only these are deleted: files that a compaction has made
  # superfluous, what an earlier attempt at a batch set aside under another model, and sums of latest that others have
  # replaced, and what Spark left below tidemark-scratch. Nothing may delete from baseline, changes and batches, which are
  # the log.
  folders = {
    ingest = {
      ingestion = { create = ["baseline", "batches", "changes", "latest", "sums"], tables = ["latest"], delete = ["sums"], replace = [] }
    }
    transform = {
      ingestion = { create = [], tables = [], delete = [], replace = [] }
      processed = {
        create  = ["batches", "dimension", "fact", "mirror", "quarantine", "rebuilds"]
        tables  = ["dimension", "fact", "mirror"]
        delete  = ["quarantine"]
        replace = []
      }
    }
    load = {
      processed = { create = [], tables = [], delete = [], replace = var.dashboard_page ? [local.dashboard_page_key] : [] }
    }
    compact = {
      ingestion = { create = ["latest"], tables = ["latest"], delete = ["latest", "sums"], replace = [] }
      processed = {
        create  = ["dimension", "fact", "mirror"]
        tables  = ["dimension", "fact", "mirror"]
        delete  = ["dimension", "fact", "mirror", "tidemark-scratch"]
        replace = []
      }
    }
  }
  # A put must say `If-None-Match: *`, so it makes an object and overwrites none. Only a Delta log's checkpoints, and the
  # file that names the last one, are put again: they hold nothing that the log's commits do not. And the page of the
  # dashboard is, which no run reads.
  never_overwrite = { Null = { "s3:if-none-match" = "false" } }
  checkpoints     = ["_last_checkpoint", "*.checkpoint*"]
  bucket_statements = {
    for function, buckets in local.folders : function => {
      for bucket, folders in buckets : bucket => [
        for statement in concat(
          [
            # Without ListBucket, S3 refuses a request for a missing object, and does not say that it is missing.
            { Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.bucket_arns[bucket]] },
            { Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${local.bucket_arns[bucket]}/*"] },
            { Effect = "Allow", Action = ["s3:PutObject"], Resource = [for folder in folders.create : "${local.bucket_arns[bucket]}/${folder}/*"], Condition = local.never_overwrite },
            { Effect = "Allow", Action = ["s3:PutObject", "s3:AbortMultipartUpload"], Resource = [for each in setproduct(folders.tables, local.checkpoints) : "${local.bucket_arns[bucket]}/${each[0]}/*/_delta_log/${each[1]}"] },
            { Effect = "Allow", Action = ["s3:PutObject"], Resource = [for key in folders.replace : "${local.bucket_arns[bucket]}/${key}"] },
            { Effect = "Allow", Action = ["s3:DeleteObject"], Resource = [for folder in folders.delete : "${local.bucket_arns[bucket]}/${folder}/*"] },
          ],
          [for key_arn in compact([var.kms_key_arn]) : {
            Effect    = "Allow"
            Action    = length(concat(folders.create, folders.replace)) > 0 ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]
            Resource  = [key_arn]
            Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.${data.aws_partition.current.dns_suffix}" } }
          }],
        ) : statement if length(statement.Resource) > 0
      ]
    }
  }

  secrets = merge(
    {
      source    = { arn = local.source_secret_arn, kms_key_arn = local.secret_kms_key_arns.source }
      warehouse = { arn = local.warehouse_secret_arn, kms_key_arn = local.secret_kms_key_arns.warehouse }
    },
    var.mask_salt_secret_arn == null ? {} : { mask_salt = { arn = var.mask_salt_secret_arn, kms_key_arn = var.mask_salt_secret_kms_key_arn } },
  )
  secret_statements = {
    for database, secret in local.secrets : database => concat(
      [{ Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = [secret.arn] }],
      [for key_arn in compact([secret.kms_key_arn]) : {
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.${data.aws_partition.current.dns_suffix}" } }
      }],
    )
  }

  pointer_statements = [
    { Effect = "Allow", Action = ["ssm:GetParameter", "ssm:PutParameter"], Resource = [local.pointer_arn] },
  ]

  network_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]

  # Function, concern, statements. A function has no other rights than these.
  function_statements = {
    ingest = merge(
      local.bucket_statements.ingest,
      { pointer = local.pointer_statements },
      { for secret, statements in local.secret_statements : secret => statements if secret != "warehouse" },
    )
    transform = local.bucket_statements.transform
    load      = merge(local.bucket_statements.load, { warehouse = local.secret_statements.warehouse })
    compact   = merge(local.bucket_statements.compact, { warehouse = local.secret_statements.warehouse })
  }
  log_statements = {
    for function, arn in local.log_group_arns : function => [
      { Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["${arn}:*"] },
    ]
  }
  # Lambda itself needs these rights to put a function into a VPC, and these actions know no narrower resource. The
  # second statement takes them from the function's code.
  network_statements = {
    for function, arn in local.function_arns : function => [
      { Effect = "Allow", Action = local.network_actions, Resource = ["*"] },
      { Effect = "Deny", Action = local.network_actions, Resource = ["*"], Condition = { ArnEquals = { "lambda:SourceFunctionArn" = arn } } },
    ] if length(var.subnet_ids) > 0
  }

  function_policies = merge(
    { for function, statements in local.log_statements : "${function}/logs" => jsonencode({ Version = "2012-10-17", Statement = statements }) },
    { for function, statements in local.network_statements : "${function}/network" => jsonencode({ Version = "2012-10-17", Statement = statements }) },
    [
      for function, concerns in local.function_statements : {
        for concern, statements in concerns : "${function}/${concern}" => jsonencode({ Version = "2012-10-17", Statement = statements })
      }
    ]...
  )
}

resource "aws_iam_role" "function" {
  for_each = local.functions

  name        = "${local.global_name}-${each.key}"
  description = "What the function ${local.function_names[each.key]} may do."
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = local.function_policies

  role   = aws_iam_role.function[split("/", each.key)[0]].id
  name   = split("/", each.key)[1]
  policy = each.value
}

# ------------------------------------------------------------------------------------ the state machine, the schedules

locals {
  # Which service takes on which role: only for something in this account, so that nobody else can borrow the role.
  service_roles = {
    state-machine    = { service = "states.amazonaws.com", description = "What the state machine ${var.name} may do." }
    run-schedule     = { service = "scheduler.amazonaws.com", description = "Starts the runs of ${var.name}." }
    compact-schedule = { service = "scheduler.amazonaws.com", description = "Starts the compactions of ${var.name}." }
  }

  service_statements = merge({
    "state-machine/stages" = [
      { Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = [for stage in local.stages : local.function_arns[stage]] },
    ]
    "state-machine/notices" = concat(
      [{ Effect = "Allow", Action = ["sns:Publish"], Resource = [aws_sns_topic.notices.arn] }],
      [for key_arn in compact([var.kms_key_arn]) : {
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = [key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "sns.${local.region}.${data.aws_partition.current.dns_suffix}" } }
      }],
    )
    # The delivery of logs belongs to no resource: AWS's documentation asks for the asterisk.
    "state-machine/logs" = [
      {
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery",
          "logs:DeleteLogDelivery",
          "logs:DescribeLogGroups",
          "logs:DescribeResourcePolicies",
          "logs:GetLogDelivery",
          "logs:ListLogDeliveries",
          "logs:PutResourcePolicy",
          "logs:UpdateLogDelivery",
        ]
        Resource = ["*"]
      },
    ]
    "run-schedule/start" = [
      { Effect = "Allow", Action = ["states:StartExecution"], Resource = [local.state_machine_arn] },
    ]
    "compact-schedule/start" = [
      { Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = [local.function_arns["compact"]] },
    ]
    },
    { for key, statements in { "state-machine/tasks" = local.task_run_statements } : key => statements if var.fargate != null },
    { for key, statements in { "state-machine/job" = local.job_run_statements } : key => statements if var.emr != null },
  )
}

resource "aws_iam_role" "service" {
  for_each = local.service_roles

  name        = "${local.global_name}-${each.key}"
  description = each.value.description
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = each.value.service }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "service" {
  for_each = local.service_statements

  role   = aws_iam_role.service[split("/", each.key)[0]].id
  name   = split("/", each.key)[1]
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}
