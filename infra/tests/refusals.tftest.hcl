# What each variable refuses. The provider is a mock: nothing is made.

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
}

variables {
  package_directory = "tests/packages"
}

run "every_variable_refuses_nonsense" {
  command = plan

  variables {
    name                         = "Tidemark_"
    region                       = "London"
    tags                         = { "aws:no" = "no" }
    model                        = " "
    lag                          = "five"
    yield_after                  = "0s"
    sslrootcert                  = ""
    kms_key_arn                  = "alias/mine"
    log_level                    = "ERROR" # Lambda would drop the metrics
    source_secret_arn            = "my-secret"
    warehouse_secret_arn         = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:*"
    mask_salt_secret_arn         = "salt"
    mask_salt_secret_kms_key_arn = "alias/mine"
    source_secret_kms_key_arn    = "alias/mine"
    warehouse_secret_kms_key_arn = "*"
    ingestion_bucket             = "with.dots"
    processed_bucket             = "UPPER"
    packages_bucket              = "-"
    noncurrent_days              = 1
    package_directory            = ""
    runtime                      = "python3.11"
    architecture                 = "riscv"
    memory_mb                    = 128
    scratch_mb                   = 100000
    timeout_seconds              = 901
    reserved_concurrency         = 0
    security_group_ids           = ["default"]
    log_retention_days           = 2
    schedule_minutes             = 0
    compact_schedule             = "daily"
    retry_attempts               = -1
    retry_interval_seconds       = 0
    notification_emails          = ["somebody"]
  }

  expect_failures = [
    var.name,
    var.region,
    var.tags,
    var.model,
    var.lag,
    var.yield_after,
    var.sslrootcert,
    var.kms_key_arn,
    var.log_level,
    var.source_secret_arn,
    var.warehouse_secret_arn,
    var.mask_salt_secret_arn,
    var.mask_salt_secret_kms_key_arn,
    var.source_secret_kms_key_arn,
    var.warehouse_secret_kms_key_arn,
    var.ingestion_bucket,
    var.processed_bucket,
    var.packages_bucket,
    var.noncurrent_days,
    var.package_directory,
    var.runtime,
    var.architecture,
    var.memory_mb,
    var.scratch_mb,
    var.timeout_seconds,
    var.reserved_concurrency,
    var.security_group_ids,
    var.log_retention_days,
    var.schedule_minutes,
    var.compact_schedule,
    var.retry_attempts,
    var.retry_interval_seconds,
    var.notification_emails,
  ]
}

run "what_belongs_together" {
  command = plan

  variables {
    subnet_ids              = ["subnet-0123456789abcdef0"]
    schedule_minutes        = 60
    stale_after_minutes     = 90
    freshness_minutes       = 30
    retry_interval_seconds  = 30
    retry_max_delay_seconds = 30
  }

  expect_failures = [
    var.subnet_ids,
    var.stale_after_minutes,
    var.freshness_minutes,
    var.retry_max_delay_seconds,
  ]
}

run "tasks_without_a_network_or_an_image" {
  command = plan

  variables {
    fargate = { image = " ", subnet_ids = [], security_group_ids = ["default"], from_rows = 0, cpu = 3, scratch_gb = 1 }
  }

  expect_failures = [var.fargate]
}

run "tasks_that_could_not_tell_who_is_at_the_other_end" {
  command = plan

  variables {
    fargate = { image = "tidemark:1", subnet_ids = ["subnet-0123456789abcdef0"], security_group_ids = ["sg-0123456789abcdef0"] }
  }

  expect_failures = [var.fargate]
}

run "a_job_of_a_size_that_there_is_not" {
  command = plan

  variables {
    emr = {
      from_rows       = 0
      release         = "emr-6.15.0"
      image           = "tidemark:1"
      timeout_minutes = 2000
      driver          = { cpu = 8, memory_gb = 62, scratch_gb = 10 }
      workers         = { cpu = 3, most = 0 }
    }
  }

  expect_failures = [var.emr]
}

run "a_job_without_its_package" {
  command = plan

  variables {
    architecture      = "arm64"
    package_directory = "tests/packages_arm64"
    sslrootcert       = null
    emr               = {}
  }

  expect_failures = [aws_s3_object.package]
}

run "more_tags_than_an_object_takes" {
  command = plan

  variables {
    tags = { for number in range(9) : "Tag${number}" => "value" }
  }

  expect_failures = [var.tags]
}

run "a_name_that_parameter_store_refuses" {
  command = plan

  variables {
    name = "ssm-lake"
  }

  expect_failures = [var.name]
}

run "another_name_that_parameter_store_refuses" {
  command = plan

  variables {
    name = "awslake"
  }

  expect_failures = [var.name]
}

run "subnets_of_another_kind" {
  command = plan

  variables {
    subnet_ids         = ["vpc-1"]
    security_group_ids = ["sg-0123456789abcdef0"]
  }

  expect_failures = [var.subnet_ids]
}

run "packages_that_were_not_made" {
  command = plan

  variables {
    package_directory = "tests/nowhere"
  }

  expect_failures = [aws_s3_object.package]
}

run "packages_for_another_architecture" {
  command = plan

  variables {
    architecture = "arm64"
  }

  expect_failures = [aws_s3_object.package]
}

run "packages_for_another_runtime" {
  command = plan

  variables {
    runtime = "python3.12"
  }

  expect_failures = [aws_s3_object.package]
}

run "packages_without_the_authorities_that_the_functions_need" {
  command = plan

  variables {
    architecture      = "arm64"
    package_directory = "tests/packages_arm64"
  }

  expect_failures = [aws_s3_object.package]
}

run "a_database_that_athena_would_refuse" {
  command = plan

  variables {
    catalog_database = "My-Lake"
  }

  expect_failures = [var.catalog_database]
}
