# Tasks on Fargate for what takes longer than a function may: the first poll of a large source, and its load. Nothing of
# this is made without var.fargate. The state machine starts a task when a function says that more rows are to come.

locals {
  # Stage, and what its task is: the command of the same name, with the settings and the rights of the function.
  tasks = { for stage in ["ingest", "load"] : stage => {
    name = "${var.name}-${stage}"
    environment = merge(
      local.common_environment,
      local.functions[stage].environment,
      {
        AWS_REGION            = local.region
        TIDEMARK_MEMORY_LIMIT = "${floor(var.fargate.memory_mb / 2)}MB"
      },
      var.sslrootcert == null ? {} : { TIDEMARK_SSLROOTCERT = var.fargate.sslrootcert },
    )
  } if var.fargate != null }

  # A day, after which the state machine stops a task.
  task_minutes = 1440

  cluster_arn      = "arn:${local.partition}:ecs:${local.region}:${local.account_id}:cluster/${var.name}"
  task_definitions = { for stage, task in local.tasks : stage => "arn:${local.partition}:ecs:${local.region}:${local.account_id}:task-definition/${task.name}" }
  task_log_groups  = { for stage, task in local.tasks : stage => "/aws/ecs/${task.name}" }
  task_log_arns    = { for stage, name in local.task_log_groups : stage => "arn:${local.partition}:logs:${local.region}:${local.account_id}:log-group:${name}" }
  task_log_links   = { for stage, task in local.tasks : stage => "${local.log_link}ecs$252F${task.name}" }
  # Who may take on a role of the tasks, and who that of the job (emr.tf).
  task_trusts = { for service in ["ecs-tasks", "emr-serverless"] : service => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "${service}.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  }) }

  # The repository of an image in ECR, which the tasks must be allowed to read; none for an image from elsewhere.
  image_repositories = var.fargate == null ? [] : [
    for parts in regexall("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.[a-z.]+/([^:@]+)", var.fargate.image) :
    "arn:${local.partition}:ecr:${parts[1]}:${parts[0]}:repository/${parts[2]}"
  ]

  task_policies = merge(
    [
      for stage, task in local.tasks : {
        for concern, statements in local.function_statements[stage] : "${stage}/${concern}" => statements
      }
    ]...
  )
  task_start_statements = { for concern, statements in {
    logs = [{ Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = [for arn in values(local.task_log_arns) : "${arn}:*"] }]
    # The first action belongs to no resource.
    image = [for statement in [
      { Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
      { Effect = "Allow", Action = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], Resource = local.image_repositories },
    ] : statement if length(local.image_repositories) > 0]
  } : concern => statements if var.fargate != null && length(statements) > 0 }

  # What the state machine may do with tasks. It learns of a task's end by a rule of EventBridge that AWS itself names.
  task_run_statements = [
    { Effect = "Allow", Action = ["ecs:RunTask"], Resource = [for arn in values(local.task_definitions) : "${arn}:*"], Condition = { ArnEquals = { "ecs:cluster" = local.cluster_arn } } },
    { Effect = "Allow", Action = ["ecs:DescribeTasks", "ecs:StopTask"], Resource = ["arn:${local.partition}:ecs:${local.region}:${local.account_id}:task/${var.name}/*"] },
    { Effect = "Allow", Action = ["ecs:ListTasks"], Resource = ["*"], Condition = { ArnEquals = { "ecs:cluster" = local.cluster_arn } } },
    { Effect = "Allow", Action = ["iam:PassRole"], Resource = [for name in concat(["tasks"], [for stage in keys(local.tasks) : "${stage}-task"]) : "arn:${local.partition}:iam::${local.account_id}:role/${local.global_name}-${name}"], Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } } },
    { Effect = "Allow", Action = ["events:DescribeRule", "events:PutRule", "events:PutTargets"], Resource = ["arn:${local.partition}:events:${local.region}:${local.account_id}:rule/StepFunctionsGetEventsForECSTaskRule"] },
  ]
}

locals {
  # What the state machine does for a stage in which the function leaves its work to a task.
  task_handovers = { for stage, task in local.tasks : stage => {
    kind      = "task"
    name      = task.name
    log       = local.task_log_links[stage]
    from_rows = var.fargate.from_rows
    seconds   = local.task_minutes * 60
    at_work   = "$.at_work.TaskArns[0]"
    look = {
      Resource   = "arn:${local.partition}:states:::aws-sdk:ecs:listTasks"
      Parameters = { Cluster = local.cluster_arn, Family = task.name }
    }
    run = {
      Resource = "arn:${local.partition}:states:::ecs:runTask.sync"
      Parameters = {
        LaunchType     = "FARGATE"
        Cluster        = local.cluster_arn
        TaskDefinition = local.task_definitions[stage]
        NetworkConfiguration = { AwsvpcConfiguration = {
          Subnets        = var.fargate.subnet_ids
          SecurityGroups = var.fargate.security_group_ids
          AssignPublicIp = var.fargate.public_ip ? "ENABLED" : "DISABLED"
        } }
      }
    }
    # What passes: a start is refused while all of Fargate's room is taken, or too many ask at once.
    passing = ["ECS.AmazonECSException", "ECS.ServerException", "Ecs.ServerException", "Ecs.EcsException"]
  } }
}

resource "aws_ecs_cluster" "this" {
  count = var.fargate == null ? 0 : 1

  name = var.name
}

resource "aws_cloudwatch_log_group" "task" {
  for_each = local.tasks

  name              = local.task_log_groups[each.key]
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "task" {
  for_each = local.tasks

  name               = "${local.global_name}-${each.key}-task"
  description        = "What the task ${each.value.name} may do: the same as the function."
  assume_role_policy = local.task_trusts["ecs-tasks"]
}

resource "aws_iam_role_policy" "task" {
  for_each = local.task_policies

  role   = aws_iam_role.task[split("/", each.key)[0]].id
  name   = split("/", each.key)[1]
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}

resource "aws_iam_role" "tasks" {
  count = var.fargate == null ? 0 : 1

  name               = "${local.global_name}-tasks"
  description        = "What Fargate itself may do to start a task of ${var.name}."
  assume_role_policy = local.task_trusts["ecs-tasks"]
}

resource "aws_iam_role_policy" "tasks" {
  for_each = local.task_start_statements

  role   = aws_iam_role.tasks[0].id
  name   = each.key
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}

resource "aws_ecs_task_definition" "this" {
  for_each = local.tasks

  family                   = each.value.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.fargate.cpu
  memory                   = var.fargate.memory_mb
  task_role_arn            = aws_iam_role.task[each.key].arn
  execution_role_arn       = aws_iam_role.tasks[0].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = upper(var.architecture)
  }

  ephemeral_storage {
    size_in_gib = var.fargate.scratch_gb
  }

  container_definitions = jsonencode([{
    name        = "tidemark"
    image       = var.fargate.image
    essential   = true
    command     = [each.key, "--json"]
    environment = [for name, value in each.value.environment : { name = name, value = value }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.task[each.key].name
        awslogs-region        = local.region
        awslogs-stream-prefix = each.key
      }
    }
  }])

  depends_on = [aws_iam_role_policy.task, aws_iam_role_policy.tasks]
}
