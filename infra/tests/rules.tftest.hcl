# What must hold of everything that is made, whatever the variables. The provider is a mock: nothing is made.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-west-2" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }

  # The provider refuses what is no ARN, also from a mock.
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-2:123456789012:function:mock" }
  }
  mock_resource "aws_sfn_state_machine" {
    defaults = { arn = "arn:aws:states:eu-west-2:123456789012:stateMachine:mock" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-2:123456789012:log-group:mock" }
  }
  mock_resource "aws_emrserverless_application" {
    defaults = { arn = "arn:aws:emr-serverless:eu-west-2:123456789012:/applications/mock" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-2:123456789012:tidemark-notices" }
  }
}

override_resource {
  target = aws_secretsmanager_secret.source
  values = { arn = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:tidemark/source-20260101000000000000000001-AbCdEf" }
}

override_resource {
  target = aws_secretsmanager_secret.warehouse
  values = { arn = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:tidemark/warehouse-20260101000000000000000001-AbCdEf" }
}

variables {
  package_directory   = "tests/packages"
  notification_emails = ["night@example.com"]
}

run "with_defaults" {
  # ---------------------------------------------------------------------------------------------------------- buckets

  assert {
    condition = alltrue([
      for key in keys(local.bucket_names) : alltrue([
        aws_s3_bucket_public_access_block.this[key].block_public_acls,
        aws_s3_bucket_public_access_block.this[key].block_public_policy,
        aws_s3_bucket_public_access_block.this[key].ignore_public_acls,
        aws_s3_bucket_public_access_block.this[key].restrict_public_buckets,
        aws_s3_bucket_ownership_controls.this[key].rule[0].object_ownership == "BucketOwnerEnforced",
      ])
    ])
    error_message = "A bucket can be made public."
  }

  assert {
    condition = alltrue([
      for key in keys(local.bucket_names) : alltrue([
        for rule in aws_s3_bucket_server_side_encryption_configuration.this[key].rule :
        rule.apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"
      ])
    ])
    error_message = "A bucket is not encrypted."
  }

  assert {
    condition     = alltrue([for key in keys(local.bucket_names) : aws_s3_bucket_versioning.this[key].versioning_configuration[0].status == "Enabled"])
    error_message = "A bucket keeps no versions."
  }

  assert {
    condition = alltrue([
      for key, arn in local.bucket_arns : jsondecode(aws_s3_bucket_policy.this[key].policy).Statement == [{
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [arn, "${arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    ])
    error_message = "A bucket can be reached without TLS."
  }

  assert {
    condition = alltrue([
      for key in keys(local.bucket_names) : alltrue([
        aws_s3_bucket_lifecycle_configuration.this[key].rule[0].noncurrent_version_expiration[0].noncurrent_days == 30,
        aws_s3_bucket_lifecycle_configuration.this[key].rule[1].abort_incomplete_multipart_upload[0].days_after_initiation == 7,
        aws_s3_bucket_lifecycle_configuration.this[key].rule[2].filter[0].prefix == "tidemark-scratch/",
        aws_s3_bucket_lifecycle_configuration.this[key].rule[2].expiration[0].days == 7,
      ])
    ])
    error_message = "A bucket keeps old versions or abandoned uploads for ever."
  }

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : !bucket.force_destroy])
    error_message = "`terraform destroy` would delete the change log."
  }

  # ------------------------------------------------------------------------------------------------------------ rights

  assert {
    condition = alltrue(flatten([
      for policy in merge(aws_iam_role_policy.function, aws_iam_role_policy.service) : [
        for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : !strcontains(action, "*")]
      ]
    ]))
    error_message = "A role may do what nobody has named."
  }

  assert {
    # Of logs, an asterisk stands for the streams of one group; of buckets, for the objects of one folder.
    condition = alltrue(flatten([
      for key, policy in merge(aws_iam_role_policy.function, aws_iam_role_policy.service) : [
        for statement in jsondecode(policy.policy).Statement : [
          for resource in statement.Resource : !strcontains(trimsuffix(split("/*", resource)[0], ":*"), "*")
        ]
      ] if key != "state-machine/logs"
    ]))
    error_message = "A role may do something to every resource."
  }

  assert {
    condition = {
      for function in keys(local.functions) : function => [
        for bucket, name in local.bucket_names : bucket
        if anytrue([for key, policy in aws_iam_role_policy.function : strcontains(policy.policy, name) if startswith(key, "${function}/")])
      ]
      } == {
      ingest = ["ingestion"], transform = ["ingestion", "processed"], load = ["processed"], compact = ["ingestion", "processed"]
    }
    error_message = "A function can touch a bucket that is none of its business, or not one that is."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.function : key => flatten([
        for statement in jsondecode(policy.policy).Statement : [for resource in statement.Resource : split(":::", resource)[1]]
        if contains(statement.Action, "s3:PutObject") && jsonencode(try(statement.Condition, {})) == jsonencode({ Null = { "s3:if-none-match" = "false" } })
      ]) if strcontains(policy.policy, "s3:PutObject")
      } == {
      "ingest/ingestion"    = [for folder in ["baseline", "batches", "changes", "latest", "sums"] : "${local.bucket_names.ingestion}/${folder}/*"]
      "transform/processed" = [for folder in ["batches", "dimension", "fact", "mirror", "quarantine", "rebuilds"] : "${local.bucket_names.processed}/${folder}/*"]
      "compact/ingestion"   = ["${local.bucket_names.ingestion}/latest/*"]
      "compact/processed"   = [for folder in ["dimension", "fact", "mirror"] : "${local.bucket_names.processed}/${folder}/*"]
    }
    error_message = "A function can write where it has nothing to write, or not where it has."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.function : key => flatten([
        for statement in jsondecode(policy.policy).Statement : [for resource in statement.Resource : split(":::", resource)[1]]
        if contains(statement.Action, "s3:PutObject") && !can(statement.Condition)
      ]) if strcontains(policy.policy, "s3:PutObject")
      } == {
      "ingest/ingestion"    = [for file in ["_last_checkpoint", "*.checkpoint*"] : "${local.bucket_names.ingestion}/latest/*/_delta_log/${file}"]
      "transform/processed" = [for each in setproduct(["dimension", "fact", "mirror"], ["_last_checkpoint", "*.checkpoint*"]) : "${local.bucket_names.processed}/${each[0]}/*/_delta_log/${each[1]}"]
      "compact/ingestion"   = [for file in ["_last_checkpoint", "*.checkpoint*"] : "${local.bucket_names.ingestion}/latest/*/_delta_log/${file}"]
      "compact/processed"   = [for each in setproduct(["dimension", "fact", "mirror"], ["_last_checkpoint", "*.checkpoint*"]) : "${local.bucket_names.processed}/${each[0]}/*/_delta_log/${each[1]}"]
    }
    error_message = "A function can overwrite more than the checkpoints of a Delta log."
  }

  assert {
    condition     = output.dashboard_page_command == null && !can(aws_lambda_function.this["load"].environment[0].variables.TIDEMARK_DASHBOARD_PAGE)
    error_message = "A page of the dashboard is written that nobody asked for."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.function : key => flatten([
        for statement in jsondecode(policy.policy).Statement : [for resource in statement.Resource : split(":::", resource)[1]]
        if contains(statement.Action, "s3:DeleteObject")
      ]) if strcontains(policy.policy, "s3:Delete")
      } == {
      "ingest/ingestion"    = ["${local.bucket_names.ingestion}/sums/*"]
      "transform/processed" = ["${local.bucket_names.processed}/quarantine/*"]
      "compact/ingestion"   = [for folder in ["latest", "sums"] : "${local.bucket_names.ingestion}/${folder}/*"]
      "compact/processed"   = [for folder in ["dimension", "fact", "mirror", "tidemark-scratch"] : "${local.bucket_names.processed}/${folder}/*"]
    }
    error_message = "A function can delete what nobody may, such as an object of the log, or not what it has to."
  }

  assert {
    condition     = [for key, policy in aws_iam_role_policy.function : key if strcontains(policy.policy, "ssm:")] == ["ingest/pointer"]
    error_message = "Something else than ingest can use the pointer."
  }

  assert {
    condition     = [for key, policy in aws_iam_role_policy.function : key if strcontains(policy.policy, aws_secretsmanager_secret.source[0].arn)] == ["ingest/source"]
    error_message = "Something else than ingest can read the source's credentials."
  }

  assert {
    condition     = toset([for key, policy in aws_iam_role_policy.function : key if strcontains(policy.policy, aws_secretsmanager_secret.warehouse[0].arn)]) == toset(["compact/warehouse", "load/warehouse"])
    error_message = "Something else than load and compact can read the warehouse's credentials."
  }

  assert {
    condition = alltrue([
      for key, arn in local.log_group_arns : jsondecode(aws_iam_role_policy.function["${key}/logs"].policy).Statement[0].Resource == ["${arn}:*"]
    ])
    error_message = "A function can write into another's log."
  }

  assert {
    condition     = length([for key in keys(aws_iam_role_policy.function) : key if endswith(key, "/network")]) == 0 && length(flatten([for function in aws_lambda_function.this : function.vpc_config])) == 0
    error_message = "The functions are in a VPC that nobody asked for."
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.service : jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"])
    error_message = "Another account's state machine or schedule can take on a role."
  }

  # --------------------------------------------------------------------------------------------------------- functions

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.reserved_concurrent_executions == -1])
    error_message = "A function reserves concurrency, which a new account cannot."
  }

  assert {
    condition = alltrue([
      for function in aws_lambda_function.this : function.memory_size == 2048 && function.timeout == 900
      && function.ephemeral_storage[0].size == 4096 && function.runtime == "python3.13" && function.architectures == tolist(["x86_64"])
      && lookup(function.environment[0].variables, "TIDEMARK_MEMORY_LIMIT", "1024MB") == "1024MB"
      && function.environment[0].variables.TIDEMARK_SSLROOTCERT == "/var/task/rds-ca.pem"
    ])
    error_message = "The functions' defaults are not those of docs/aws.md."
  }

  assert {
    condition = { for key, function in aws_lambda_function.this : key => function.s3_key } == {
      ingest = "ingest.zip", transform = "transform.zip", load = "load.zip", compact = "ingest.zip"
    }
    error_message = "A function has another's package."
  }

  assert {
    condition     = alltrue([for key, function in aws_lambda_function.this : function.logging_config[0].log_format == "JSON" && function.logging_config[0].system_log_level == "INFO" && aws_cloudwatch_log_group.function[key].retention_in_days == 30])
    error_message = "The alarm on memory finds no report in the log, or a log is kept for ever."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.logging_config[0].application_log_level == "INFO"])
    error_message = "Lambda drops the metrics, which it takes for lines of the level INFO."
  }

  # ---------------------------------------------------------------------------------------------- workflow and alarms

  assert {
    condition     = aws_ssm_parameter.pointer.value == "{}" && aws_ssm_parameter.pointer.tier == "Standard"
    error_message = "The pointer is not one that the code takes as none yet."
  }

  assert {
    condition     = aws_scheduler_schedule.run.schedule_expression == "rate(10 minutes)" && aws_scheduler_schedule.run.state == "ENABLED" && aws_scheduler_schedule.run.target[0].input == "{}"
    error_message = "Runs do not start every ten minutes."
  }

  assert {
    condition     = alltrue([for alarm in local.alarms : alarm.alarm_actions == toset([aws_sns_topic.notices.arn]) && strcontains(alarm.alarm_description, "docs/operations.md#alarms")])
    error_message = "An alarm tells nobody, or not what to do."
  }

  assert {
    condition = length(local.alarms) == 19 && {
      for key, alarm in aws_cloudwatch_metric_alarm.run_failed : alarm.alarm_name => [alarm.namespace, alarm.metric_name, length(alarm.metric_query)]
      } == {
      tidemark-run-failed    = ["AWS/States", "ExecutionsFailed", 0]
      tidemark-run-timed-out = ["AWS/States", "ExecutionsTimedOut", 0]
      tidemark-run-aborted   = ["AWS/States", "ExecutionsAborted", 0]
    }
    error_message = "An alarm on runs waits for a metric that may never come, or there are others than docs/aws.md counts."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.no_success[0].evaluation_periods == 6 && aws_cloudwatch_metric_alarm.no_success[0].treat_missing_data == "breaching"
    error_message = "Half an hour without a successful run raises no alarm."
  }

  assert {
    condition     = length(aws_ecs_cluster.this) + length(aws_emrserverless_application.transform) + length(aws_iam_role.job) + length(aws_s3_object.job_entry) + length(aws_cloudwatch_log_group.job) + length(aws_cloudwatch_metric_alarm.run_long) == 0 && keys(aws_s3_object.package) == ["ingest", "load", "transform"]
    error_message = "Something is made for tasks or a job that nobody asked for."
  }
}

run "in_a_vpc_with_secrets_that_are_there" {
  variables {
    subnet_ids                   = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    security_group_ids           = ["sg-0123456789abcdef0"]
    source_secret_arn            = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:shop/source-AbCdEf"
    warehouse_secret_arn         = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:shop/warehouse-AbCdEf"
    mask_salt_secret_arn         = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:shop/salt-AbCdEf"
    mask_salt_secret_kms_key_arn = "arn:aws:kms:eu-west-2:123456789012:key/33333333-3333-3333-3333-333333333333"
    source_secret_kms_key_arn    = "arn:aws:kms:eu-west-2:123456789012:key/11111111-1111-1111-1111-111111111111"
    warehouse_secret_kms_key_arn = "arn:aws:kms:eu-west-2:123456789012:key/22222222-2222-2222-2222-222222222222"
    sslrootcert                  = "/var/task/ca.pem"
    reserved_concurrency         = 2
    architecture                 = "arm64"
    package_directory            = "tests/packages_arm64"
    log_level                    = "DEBUG"
    schedule_enabled             = false
    notification_emails          = []
    model                        = "mirror"
    schemas                      = ["public", "crm"]
    exclude                      = ["log_*", "crm.staff.password"]
  }

  assert {
    condition = alltrue([
      for function in aws_lambda_function.this : [
        for name in ["MODEL", "SCHEMAS", "EXCLUDE"] : function.environment[0].variables["TIDEMARK_${name}"]
      ] == ["mirror", "public,crm", "log_*,crm.staff.password"] && !can(function.environment[0].variables.TIDEMARK_INCLUDE)
    ])
    error_message = "A function does not take what the mirror is to take."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : length(function.vpc_config[0].subnet_ids) == 2 && length(function.vpc_config[0].security_group_ids) == 1])
    error_message = "A function is not in the VPC."
  }

  assert {
    condition = alltrue([
      for key, arn in local.function_arns : [
        for statement in jsondecode(aws_iam_role_policy.function["${key}/network"].policy).Statement : [statement.Effect, try(statement.Condition.ArnEquals["lambda:SourceFunctionArn"], "")]
      ] == [["Allow", ""], ["Deny", arn]]
    ])
    error_message = "The code of a function may use the rights that only Lambda needs."
  }

  assert {
    condition     = length(aws_secretsmanager_secret.source) == 0 && length(aws_secretsmanager_secret.warehouse) == 0
    error_message = "A secret is made that nobody needs."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.function : key => [for statement in jsondecode(policy.policy).Statement : statement.Resource[0]]
      if strcontains(policy.policy, "secretsmanager:") || strcontains(policy.policy, "kms:")
      } == {
      "ingest/mask_salt"  = [var.mask_salt_secret_arn, var.mask_salt_secret_kms_key_arn]
      "ingest/source"     = [var.source_secret_arn, var.source_secret_kms_key_arn]
      "load/warehouse"    = [var.warehouse_secret_arn, var.warehouse_secret_kms_key_arn]
      "compact/warehouse" = [var.warehouse_secret_arn, var.warehouse_secret_kms_key_arn]
    }
    error_message = "A secret or a key can be used by a function that does not need it, or not by one that does."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.environment[0].variables.TIDEMARK_SSLROOTCERT == "/var/task/ca.pem" && function.reserved_concurrent_executions == 2 && function.architectures == tolist(["arm64"]) && function.logging_config[0].application_log_level == "DEBUG"])
    error_message = "A variable does not reach the functions."
  }

  assert {
    condition     = aws_scheduler_schedule.run.state == "DISABLED" && aws_scheduler_schedule.compact.state == "DISABLED" && length(aws_cloudwatch_metric_alarm.no_success) == 0
    error_message = "With the schedule off something starts by itself, or an alarm waits for it."
  }
}

run "with_a_customers_key" {
  variables {
    kms_key_arn               = "arn:aws:kms:eu-west-2:123456789012:key/33333333-3333-3333-3333-333333333333"
    source_secret_kms_key_arn = "arn:aws:kms:eu-west-2:123456789012:key/11111111-1111-1111-1111-111111111111"
    sslrootcert               = null
  }

  assert {
    condition = alltrue(concat(
      [for bucket in aws_s3_bucket_server_side_encryption_configuration.this : alltrue([
        for rule in bucket.rule : rule.bucket_key_enabled
        && rule.apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
        && rule.apply_server_side_encryption_by_default[0].kms_master_key_id == var.kms_key_arn
      ])],
      [for group in aws_cloudwatch_log_group.function : group.kms_key_id == var.kms_key_arn],
      [
        aws_cloudwatch_log_group.state_machine.kms_key_id == var.kms_key_arn,
        aws_sns_topic.notices.kms_master_key_id == var.kms_key_arn,
        aws_secretsmanager_secret.source[0].kms_key_id == var.source_secret_kms_key_arn,
        aws_secretsmanager_secret.warehouse[0].kms_key_id == var.kms_key_arn,
      ],
    ))
    error_message = "Something is encrypted with another key than the customer's."
  }

  assert {
    condition = {
      for key, policy in merge(aws_iam_role_policy.function, aws_iam_role_policy.service) : key => flatten([
        for statement in jsondecode(policy.policy).Statement : [
          [for action in statement.Action : trimprefix(action, "kms:")],
          split(".", statement.Condition.StringEquals["kms:ViaService"])[0],
          substr(statement.Resource[0], -1, 1),
        ] if startswith(statement.Action[0], "kms:")
      ]) if strcontains(policy.policy, "kms:")
      } == {
      "ingest/ingestion"      = ["Decrypt", "GenerateDataKey", "s3", "3"]
      "ingest/source"         = ["Decrypt", "secretsmanager", "1"]
      "transform/ingestion"   = ["Decrypt", "s3", "3"]
      "transform/processed"   = ["Decrypt", "GenerateDataKey", "s3", "3"]
      "load/processed"        = ["Decrypt", "s3", "3"]
      "load/warehouse"        = ["Decrypt", "secretsmanager", "3"]
      "compact/ingestion"     = ["Decrypt", "GenerateDataKey", "s3", "3"]
      "compact/processed"     = ["Decrypt", "GenerateDataKey", "s3", "3"]
      "compact/warehouse"     = ["Decrypt", "secretsmanager", "3"]
      "state-machine/notices" = ["Decrypt", "GenerateDataKey", "sns", "3"]
    }
    error_message = "A role can use the key for what is none of its business, or not for what is."
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.this : !can(function.environment[0].variables.TIDEMARK_SSLROOTCERT)])
    error_message = "The databases must prove who they are, though nobody asked for it."
  }
}

run "with_a_page_of_the_dashboard" {
  variables {
    dashboard_page = true
    kms_key_arn    = "arn:aws:kms:eu-west-2:123456789012:key/33333333-3333-3333-3333-333333333333"
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.function["load/processed"].policy).Statement :
      [statement.Action, statement.Resource, can(statement.Condition)]
      ] == [
      [["s3:ListBucket"], [local.bucket_arns.processed], false],
      [["s3:GetObject"], ["${local.bucket_arns.processed}/*"], false],
      [["s3:PutObject"], ["${local.bucket_arns.processed}/dashboard.html"], false],
      [["kms:Decrypt", "kms:GenerateDataKey"], [var.kms_key_arn], true],
    ]
    error_message = "Load may put something else than the page, or not the page."
  }

  assert {
    condition     = [for key, function in aws_lambda_function.this : key if can(function.environment[0].variables.TIDEMARK_DASHBOARD_PAGE)] == ["load"]
    error_message = "Load does not know that it is to write the page, or another function believes so."
  }

  assert {
    condition     = output.dashboard_page_command == "aws s3 presign s3://${local.bucket_names.processed}/dashboard.html --region eu-west-2 --expires-in 3600"
    error_message = "Nobody is told how to make a link to the page."
  }
}

run "with_tasks_on_fargate" {
  variables {
    fargate = {
      image              = "123456789012.dkr.ecr.eu-west-2.amazonaws.com/data/tidemark:1"
      subnet_ids         = ["subnet-0123456789abcdef0"]
      security_group_ids = ["sg-0123456789abcdef0"]
      sslrootcert        = "/opt/rds-ca.pem"
      from_rows          = 5000000
    }
  }

  assert {
    condition = {
      for stage, task in aws_ecs_task_definition.this : stage => [
        for container in jsondecode(task.container_definitions) : [
          container.command, container.image,
          { for each in container.environment : each.name => each.value if contains(["TIDEMARK_MEMORY_LIMIT", "TIDEMARK_SSLROOTCERT"], each.name) },
        ]
      ][0]
      } == {
      for stage in ["ingest", "load"] : stage => [
        [stage, "--json"], var.fargate.image,
        { TIDEMARK_MEMORY_LIMIT = "8192MB", TIDEMARK_SSLROOTCERT = "/opt/rds-ca.pem" },
      ]
    }
    error_message = "A task is not the command of its stage in the image that was named."
  }

  assert {
    condition = alltrue([
      for stage in ["ingest", "load"] : {
        for key, policy in aws_iam_role_policy.task : split("/", key)[1] => policy.policy if startswith(key, "${stage}/")
        } == {
        for key, policy in aws_iam_role_policy.function : split("/", key)[1] => policy.policy
        if startswith(key, "${stage}/") && !endswith(key, "/logs")
      }
    ])
    error_message = "A task may do something else than its function."
  }

  assert {
    condition = alltrue([
      for policy in merge(aws_iam_role_policy.tasks, { run = aws_iam_role_policy.service["state-machine/tasks"] }) : alltrue([
        for statement in jsondecode(policy.policy).Statement : alltrue(concat(
          [for action in statement.Action : !strcontains(action, "*")],
          [for resource in statement.Resource : resource != "*" || contains([["ecs:ListTasks"], ["ecr:GetAuthorizationToken"]], statement.Action)],
        ))
      ])
    ])
    error_message = "Who starts a task may do more than that."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.tasks["image"].policy).Statement[1].Resource == ["arn:aws:ecr:eu-west-2:123456789012:repository/data/tidemark"]
    error_message = "A task may read another image than its own."
  }

  assert {
    condition = alltrue([
      for stage in ["Ingest", "Load"] : alltrue([
        for states in [jsondecode(aws_sfn_state_machine.run.definition).States] :
        states[stage].Parameters.Payload.from_rows == 5000000
        && states["${stage} by a task"].Parameters.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp == "DISABLED"
      ])
    ]) && !can(jsondecode(aws_sfn_state_machine.run.definition).States["Transform"].Parameters.Payload.from_rows)
    error_message = "The state machine does not know which rows are too many, or asks transform."
  }

  assert {
    condition     = one(aws_cloudwatch_metric_alarm.run_long[*].threshold) == 0.8 * 86400 * 1000 && length(local.alarms) == 20
    error_message = "A task may take as long as it likes before anybody hears of it."
  }
}

run "with_a_job_on_emr_serverless" {
  variables {
    emr = {
      from_rows       = 7000000
      image           = "123456789012.dkr.ecr.eu-west-2.amazonaws.com/data/emr:1"
      timeout_minutes = 60
      driver          = { cpu = 4, memory_gb = 24 }
      workers         = { most = 3 }
    }
    kms_key_arn = "arn:aws:kms:eu-west-2:123456789012:key/33333333-3333-3333-3333-333333333333"
    sslrootcert = null
  }

  assert {
    condition = [
      for application in aws_emrserverless_application.transform : [
        application.name, application.release_label, application.architecture, one(application.image_configuration[*].image_uri),
        one(application.maximum_capacity[*].cpu), one(application.maximum_capacity[*].memory), one(application.maximum_capacity[*].disk),
        length(application.initial_capacity),
      ]
    ] == [["tidemark-transform", "emr-7.13.0", "X86_64", var.emr.image, "16 vCPU", "72 GB", "350 GB", 0]]
    error_message = "The application may spend more than was said, keeps workers waiting, or is another one."
  }

  assert {
    condition = {
      for key, policy in aws_iam_role_policy.job : split("/", key)[1] => policy.policy if !contains(["job/logs", "job/package", "job/scratch"], key)
      } == {
      for key, policy in aws_iam_role_policy.function : split("/", key)[1] => policy.policy
      if startswith(key, "transform/") && !endswith(key, "/logs")
    }
    error_message = "The job may do something else with the two buckets than its function."
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.job["job/package"].policy).Statement : [statement.Action, statement.Resource]
    ] == [[["s3:GetObject"], ["${local.bucket_arns.packages}/job.zip", "${local.bucket_arns.packages}/job.py"]]]
    error_message = "The job may read another's package."
  }

  assert {
    condition     = flatten([for statement in jsondecode(aws_iam_role_policy.job["job/scratch"].policy).Statement : statement.Resource]) == ["${local.bucket_arns.processed}/tidemark-scratch/*"]
    error_message = "The job may overwrite or delete more than scratch files."
  }

  assert {
    condition     = keys(aws_iam_role_policy.job) == ["job/ingestion", "job/logs", "job/package", "job/processed", "job/scratch"] && jsondecode(aws_iam_role.job[0].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "The job has rights of which nobody knows, or another account's job can have them."
  }

  assert {
    condition = alltrue([
      for policy in [aws_iam_role_policy.job["job/logs"], aws_iam_role_policy.service["state-machine/job"]] : alltrue([
        for statement in jsondecode(policy.policy).Statement : alltrue(concat(
          [for action in statement.Action : !strcontains(action, "*")],
          [for resource in statement.Resource : resource != "*" || statement.Action == ["logs:DescribeLogGroups"]],
        ))
      ])
    ])
    error_message = "The job, or who starts it, may do more than that."
  }

  assert {
    condition = alltrue([
      for states in [jsondecode(aws_sfn_state_machine.run.definition).States] :
      states["Transform"].Parameters.Payload.from_rows == 7000000 && !can(states["Ingest"].Parameters.Payload.from_rows)
      && states["Look for a job to transform"].Parameters.ApplicationId == aws_emrserverless_application.transform[0].id
      && states["Transform by a job"].Parameters.ExecutionTimeoutMinutes == 60 && states["Transform by a job"].TimeoutSeconds == 3600
      && states["Transform by a job"].Next == "Load" && !contains(flatten(states["Transform by a job"].Retry[*].ErrorEquals), "States.TaskFailed")
    ])
    error_message = "The state machine does not know which rows are too many, or starts a job that has failed again."
  }

  assert {
    condition = {
      for name, value in jsondecode(aws_sfn_state_machine.run.definition).States["Transform by a job"].Parameters.ConfigurationOverrides.ApplicationConfiguration[0].Properties :
      name => value if strcontains(lower(name), "memory") || strcontains(name, "_PYTHON") || strcontains(name, "ENGINE") || strcontains(name, "archives") || strcontains(name, "SSLROOTCERT")
      } == {
      "spark.archives"                                       = "s3://${local.bucket_names.packages}/job.zip#package"
      "spark.driver.memory"                                  = "6144m"
      "spark.driver.memoryOverhead"                          = "18432m"
      "spark.executor.memory"                                = "14745m"
      "spark.executor.memoryOverhead"                        = "1639m"
      "spark.executorEnv.PYSPARK_PYTHON"                     = "/usr/bin/python3.11"
      "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON" = "/usr/bin/python3.11"
      "spark.emr-serverless.driverEnv.PYSPARK_PYTHON"        = "/usr/bin/python3.11"
      "spark.emr-serverless.driverEnv.TIDEMARK_ENGINE"       = "spark"
      "spark.emr-serverless.driverEnv.TIDEMARK_MEMORY_LIMIT" = "12288MB"
    }
    error_message = "The job does not run the command on Spark, or with memory that it has not."
  }

  assert {
    condition     = aws_cloudwatch_log_group.job[0].kms_key_id == var.kms_key_arn && one(aws_cloudwatch_metric_alarm.run_long[*].threshold) == 0.8 * 3600 * 1000
    error_message = "The log of the job is not encrypted, or the job may take as long as it likes before anybody hears of it."
  }
}

run "in_another_partition" {
  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  assert {
    condition     = distinct([for state in jsondecode(aws_sfn_state_machine.run.definition).States : split(":", state.Resource)[1] if can(state.Resource)]) == tolist(["aws-cn"])
    error_message = "The state machine calls services of another partition."
  }

  assert {
    condition = distinct(flatten([
      for key, policy in aws_iam_role_policy.function : [
        for statement in jsondecode(policy.policy).Statement : [for resource in statement.Resource : split(":", resource)[1]]
      ] if !endswith(key, "/source") && !endswith(key, "/warehouse")
    ])) == tolist(["aws-cn"])
    error_message = "A function may use things of another partition."
  }
}

run "without_a_catalog" {
  assert {
    condition     = length(aws_glue_catalog_database.lake) + length(aws_iam_policy.catalog) == 0
    error_message = "A database of the catalog is made, though nobody asked for it."
  }
}

run "with_a_catalog" {
  variables {
    catalog_database = "office_lake"
    kms_key_arn      = "arn:aws:kms:eu-west-2:123456789012:key/00000000-0000-0000-0000-000000000000"
  }

  assert {
    condition     = one(aws_glue_catalog_database.lake[*].name) == "office_lake"
    error_message = "The database has another name."
  }

  assert {
    condition = flatten([for statement in jsondecode(one(aws_iam_policy.catalog[*].policy)).Statement : statement.Action]) == [
      "s3:ListBucket", "s3:GetObject", "glue:CreateTable", "glue:GetTables", "glue:UpdateTable", "kms:Decrypt",
    ]
    error_message = "Whoever runs tidemark catalog may do something else."
  }

  assert {
    condition = [for resource in flatten([
      for statement in jsondecode(one(aws_iam_policy.catalog[*].policy)).Statement : statement.Resource if startswith(statement.Action[0], "glue:")
    ]) : split(":", resource)[5]] == ["catalog", "database/office_lake", "table/office_lake/*"]
    error_message = "Whoever runs tidemark catalog may write to another database."
  }
}
