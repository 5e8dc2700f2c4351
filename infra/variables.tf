# ------------------------------------------------------------------------------------------------------------ the whole

variable "name" {
  description = "Name of the pipeline. The name of everything that is made begins with it. Two pipelines in one account and region need two names."
  type        = string
  default     = "tidemark"
  nullable    = false

  validation {
    # 24, since a bucket's name, with account and region behind it, may have 63 characters.
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name must have 3 to 24 characters: small letters, digits and single hyphens, a letter first, no hyphen last."
  }

  validation {
    condition     = !startswith(var.name, "aws") && !startswith(var.name, "ssm")
    error_message = "name may not begin with aws or ssm: Parameter Store refuses such a name for the pointer."
  }
}

variable "region" {
  description = "AWS region. Null: the one that AWS_REGION or the profile names."
  type        = string
  default     = null

  validation {
    condition     = var.region == null || can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like eu-west-2."
  }
}

variable "tags" {
  description = "Tags for everything, beside Application and Pipeline."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && length(key) <= 128])
    error_message = "A tag's key may have 128 characters and may not begin with aws:."
  }

  validation {
    condition     = length(var.tags) <= 8
    error_message = "tags may hold 8 at most: an object in S3 takes 10, and two are Application and Pipeline."
  }
}

variable "kms_key_arn" {
  description = "ARN of the customer's key that encrypts buckets, logs, mails on their way, and the secrets that are made here. Null: AWS's own keys, and no encryption of the topic. The output kms_key_statements says what its policy needs."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (not of an alias), or null."
  }
}

# --------------------------------------------------------------------------------------------------------- the pipeline

variable "model" {
  description = "TIDEMARK_MODEL: the name of a model that ships, mirror, or a directory in the packages."
  type        = string
  default     = "totesys"
  nullable    = false

  validation {
    condition     = trimspace(var.model) != ""
    error_message = "model must name a model."
  }
}

variable "schemas" {
  description = "TIDEMARK_SCHEMAS: the schemas that a mirror takes; empty for public."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.schemas : trimspace(name) != "" && !can(regex("[,']", name))])
    error_message = "schemas must be names or patterns, without commas and quotes."
  }
}

variable "include" {
  description = "TIDEMARK_INCLUDE: patterns of the tables or columns that a mirror takes, such as film_* or crm.*; empty for all."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.include : trimspace(name) != "" && !can(regex("[,']", name))])
    error_message = "include must be names or patterns, without commas and quotes."
  }
}

variable "exclude" {
  description = "TIDEMARK_EXCLUDE: patterns of the tables or columns that a mirror does not take, such as public.staff.password."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.exclude : trimspace(name) != "" && !can(regex("[,']", name))])
    error_message = "exclude must be names or patterns, without commas and quotes."
  }
}

variable "lag" {
  description = "TIDEMARK_LAG: the margin below the watermark within which each poll reads again, such as 5s."
  type        = string
  default     = "5s"
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]+([.][0-9]+)?(us|ms|s|m|h|d)$", var.lag))
    error_message = "lag must be a number with us, ms, s, m, h or d behind it, such as 5s."
  }
}

variable "yield_after" {
  description = "TIDEMARK_YIELD_AFTER: how long others may wait for a lock that a poll holds in the source, such as 2s, or off."
  type        = string
  default     = "2s"
  nullable    = false

  validation {
    condition     = var.yield_after == "off" || can(regex("^[0-9]+([.][0-9]+)?(us|ms|s|m|h|d)$", var.yield_after)) && can(regex("[1-9]", var.yield_after))
    error_message = "yield_after must be off, or a number above zero with us, ms, s, m, h or d behind it, such as 2s."
  }
}

variable "sslrootcert" {
  description = "TIDEMARK_SSLROOTCERT: path, in the packages, of the file of certificate authorities by which the databases must prove who they are; `make package SSLROOTCERT=...` puts it there. Null: they need not prove it."
  type        = string
  default     = "/var/task/rds-ca.pem"

  validation {
    condition     = var.sslrootcert == null || try(trimspace(var.sslrootcert) != "", false)
    error_message = "sslrootcert must be a path, or null."
  }
}

variable "show_values" {
  description = "TIDEMARK_SHOW_VALUES: whether logs and mails quote values of rows, which they hide otherwise."
  type        = bool
  default     = false
  nullable    = false
}

variable "dashboard_page" {
  description = "TIDEMARK_DASHBOARD_PAGE: whether load writes the dashboard as one page into the processed bucket, after each load that brought a batch. The output dashboard_page_command makes a link to it."
  type        = bool
  default     = false
  nullable    = false
}

variable "log_level" {
  description = "Lowest level that the functions log: INFO or DEBUG."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    # Lambda drops lines below the level. It takes a line without a level, such as a metric, for INFO.
    condition     = contains(["DEBUG", "INFO"], var.log_level)
    error_message = "log_level must be DEBUG or INFO: at a higher level Lambda would drop the metrics, which are lines of the log."
  }
}

# ---------------------------------------------------------------------------------------------------- the two databases

variable "source_secret_arn" {
  description = "ARN of an existing secret with the source's credentials, of the type \"Credentials for RDS database\" (host, port, dbname, username, password). Null: an empty one is made, and the output next_steps says how to fill it."
  type        = string
  default     = null

  validation {
    condition     = var.source_secret_arn == null || can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^*?]+$", var.source_secret_arn))
    error_message = "source_secret_arn must be the whole ARN of a secret, or null."
  }
}

variable "warehouse_secret_arn" {
  description = "ARN of an existing secret with the warehouse's credentials, of the same type. Null: an empty one is made, and the output next_steps says how to fill it."
  type        = string
  default     = null

  validation {
    condition     = var.warehouse_secret_arn == null || can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^*?]+$", var.warehouse_secret_arn))
    error_message = "warehouse_secret_arn must be the whole ARN of a secret, or null."
  }
}

variable "mask_salt_secret_arn" {
  description = "ARN of an existing secret with the salt of the model's masks, as JSON with the member salt. Null: the model masks nothing by sha256."
  type        = string
  default     = null

  validation {
    condition     = var.mask_salt_secret_arn == null || can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^*?]+$", var.mask_salt_secret_arn))
    error_message = "mask_salt_secret_arn must be the whole ARN of a secret, or null."
  }
}

variable "mask_salt_secret_kms_key_arn" {
  description = "ARN of the customer's key that encrypts the secret with the salt. Null: AWS's own key."
  type        = string
  default     = null

  validation {
    condition     = var.mask_salt_secret_kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.mask_salt_secret_kms_key_arn))
    error_message = "mask_salt_secret_kms_key_arn must be the ARN of a key (not of an alias), or null."
  }
}

variable "source_secret_kms_key_arn" {
  description = "ARN of the customer's key that encrypts the source's secret. Null: kms_key_arn if the secret is made here, otherwise AWS's own key."
  type        = string
  default     = null

  validation {
    condition     = var.source_secret_kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.source_secret_kms_key_arn))
    error_message = "source_secret_kms_key_arn must be the ARN of a key (not of an alias), or null."
  }
}

variable "warehouse_secret_kms_key_arn" {
  description = "ARN of the customer's key that encrypts the warehouse's secret. Null: kms_key_arn if the secret is made here, otherwise AWS's own key."
  type        = string
  default     = null

  validation {
    condition     = var.warehouse_secret_kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.warehouse_secret_kms_key_arn))
    error_message = "warehouse_secret_kms_key_arn must be the ARN of a key (not of an alias), or null."
  }
}

# ---------------------------------------------------------------------------------------------------------- the buckets

variable "ingestion_bucket" {
  description = "Name of the bucket for the change log and latest. Null: <name>-ingestion-<account>-<region>."
  type        = string
  default     = null

  validation {
    condition     = var.ingestion_bucket == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.ingestion_bucket))
    error_message = "ingestion_bucket must be a bucket's name without dots, or null."
  }
}

variable "processed_bucket" {
  description = "Name of the bucket for the star schema. Null: <name>-processed-<account>-<region>."
  type        = string
  default     = null

  validation {
    condition     = var.processed_bucket == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.processed_bucket))
    error_message = "processed_bucket must be a bucket's name without dots, or null."
  }
}

variable "packages_bucket" {
  description = "Name of the bucket for the functions' packages. Null: <name>-packages-<account>-<region>."
  type        = string
  default     = null

  validation {
    condition     = var.packages_bucket == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.packages_bucket))
    error_message = "packages_bucket must be a bucket's name without dots, or null."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete buckets that hold objects. One of them holds the change log, which nothing can bring back."
  type        = bool
  default     = false
  nullable    = false
}

variable "noncurrent_days" {
  description = "Days for which the buckets keep what was overwritten or deleted: the time in which a mistake can be undone."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.noncurrent_days >= 7 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days must be a whole number, 7 or more."
  }
}

# -------------------------------------------------------------------------------------------------------- the functions

variable "package_directory" {
  description = "Where `make package` put the zip files: absolute, or relative to this directory."
  type        = string
  default     = "../dist"
  nullable    = false

  validation {
    condition     = trimspace(var.package_directory) != ""
    error_message = "package_directory must name a directory."
  }
}

variable "runtime" {
  description = "The functions' runtime; the packages must have been made for it."
  type        = string
  default     = "python3.13"
  nullable    = false

  validation {
    # The libraries' wheels need glibc 2.28. Runtimes before python3.12 have an older one.
    condition     = contains(["python3.12", "python3.13"], var.runtime)
    error_message = "runtime must be python3.12 or python3.13: older ones lack the C library that the packages need."
  }
}

variable "architecture" {
  description = "The functions' processor; the packages must have been made for it."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "memory_mb" {
  description = "Memory of each function in MB. DuckDB may take half of it. A function with 1769 MB or more has a whole processor."
  type        = number
  default     = 2048
  nullable    = false

  validation {
    condition     = var.memory_mb >= 512 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "memory_mb must be a whole number from 512 to 10240."
  }
}

variable "scratch_mb" {
  description = "Size of each function's /tmp in MB, where DuckDB keeps what does not fit into memory."
  type        = number
  default     = 4096
  nullable    = false

  validation {
    condition     = var.scratch_mb >= 512 && var.scratch_mb <= 10240 && floor(var.scratch_mb) == var.scratch_mb
    error_message = "scratch_mb must be a whole number from 512 to 10240."
  }
}

variable "timeout_seconds" {
  description = "Seconds after which a function is ended. 900 is the most that Lambda allows."
  type        = number
  default     = 900
  nullable    = false

  validation {
    condition     = var.timeout_seconds >= 60 && var.timeout_seconds <= 900 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds must be a whole number from 60 to 900."
  }
}

variable "reserved_concurrency" {
  description = "How many of each function may run at once, taken from the account's concurrency. Null: not limited. A new account cannot reserve any, and correctness does not need it."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrency == null || try(var.reserved_concurrency >= 1 && floor(var.reserved_concurrency) == var.reserved_concurrency, false)
    error_message = "reserved_concurrency must be a whole number, 1 or more, or null."
  }
}

variable "subnet_ids" {
  description = "Subnets of a VPC in which the functions run, to reach databases there. Empty: no VPC. docs/aws.md says what such subnets need."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "subnet_ids must look like subnet-0123456789abcdef0."
  }

  validation {
    condition     = (length(var.subnet_ids) > 0) == (length(var.security_group_ids) > 0)
    error_message = "subnet_ids and security_group_ids must be given together, or neither."
  }
}

variable "security_group_ids" {
  description = "Security groups of the functions in that VPC. They must let the functions out to the databases and to AWS's services, and need let nothing in."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.security_group_ids : can(regex("^sg-[0-9a-f]+$", id))])
    error_message = "security_group_ids must look like sg-0123456789abcdef0."
  }
}

variable "fargate" {
  description = "Tasks on Fargate that take over what is too large for a function: ingest where new tables have from_rows rows or more, and load where so many are to come. image is one that Dockerfile makes; sslrootcert names the authorities in it that prove the databases, and is needed unless the functions have none. Null: no tasks. docs/aws.md says when they pay."
  type = object({
    image              = string
    subnet_ids         = list(string)
    security_group_ids = list(string)
    sslrootcert        = optional(string)
    public_ip          = optional(bool, false)
    from_rows          = optional(number, 50000000)
    cpu                = optional(number, 4096)
    memory_mb          = optional(number, 16384)
    scratch_gb         = optional(number, 100)
  })
  default = null

  validation {
    condition     = try(trimspace(var.fargate.image) != "" && !can(regex("\\s", var.fargate.image)), var.fargate == null)
    error_message = "fargate.image must name an image."
  }

  validation {
    condition = try(
      length(var.fargate.subnet_ids) > 0 && length(var.fargate.security_group_ids) > 0
      && alltrue([for id in var.fargate.subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
      && alltrue([for id in var.fargate.security_group_ids : can(regex("^sg-[0-9a-f]+$", id))]),
      var.fargate == null,
    )
    error_message = "fargate needs one or more subnet_ids and security_group_ids, such as subnet-0123456789abcdef0 and sg-0123456789abcdef0."
  }

  validation {
    condition     = var.sslrootcert == null || try(trimspace(var.fargate.sslrootcert) != "", var.fargate == null)
    error_message = "fargate.sslrootcert must name a file in the image, or system, as long as sslrootcert is not null: else nothing would prove to a task who is at the other end."
  }

  validation {
    condition     = try(var.fargate.from_rows >= 1 && floor(var.fargate.from_rows) == var.fargate.from_rows, var.fargate == null)
    error_message = "fargate.from_rows must be a whole number, 1 or more."
  }

  validation {
    condition     = try(contains([1024, 2048, 4096, 8192, 16384], var.fargate.cpu) && var.fargate.memory_mb >= 2048 && var.fargate.memory_mb <= 122880 && var.fargate.memory_mb % 1024 == 0, var.fargate == null)
    error_message = "fargate.cpu must be 1024, 2048, 4096, 8192 or 16384, and fargate.memory_mb a multiple of 1024 from 2048 to 122880. AWS allows some pairs only."
  }

  validation {
    condition     = try(var.fargate.scratch_gb >= 21 && var.fargate.scratch_gb <= 200 && floor(var.fargate.scratch_gb) == var.fargate.scratch_gb, var.fargate == null)
    error_message = "fargate.scratch_gb must be a whole number from 21 to 200."
  }
}

variable "emr" {
  description = "A job of Spark on EMR Serverless that takes over what transform has from_rows rows or more of. driver and workers say what each has, and how many workers there are at most beside the driver; image is one with Python 3.11 on that release, null for EMR's own. Null: no job. docs/aws.md says when it pays. {} takes all as it is here."
  type = object({
    from_rows       = optional(number, 100000000)
    release         = optional(string, "emr-7.13.0")
    image           = optional(string)
    timeout_minutes = optional(number, 360)
    driver = optional(object({
      cpu        = optional(number, 8)
      memory_gb  = optional(number, 60)
      scratch_gb = optional(number, 200)
    }), {})
    workers = optional(object({
      cpu        = optional(number, 4)
      memory_gb  = optional(number, 16)
      scratch_gb = optional(number, 50)
      most       = optional(number, 8)
    }), {})
  })
  default = null

  validation {
    condition     = try(var.emr.from_rows >= 1 && floor(var.emr.from_rows) == var.emr.from_rows, var.emr == null)
    error_message = "emr.from_rows must be a whole number, 1 or more."
  }

  validation {
    # Spark 3.5 with Python 3.11, and batch jobs that end after a time.
    condition     = var.emr == null || can(regex("^emr-7\\.([1-9]|1[0-9])\\.[0-9]+$", var.emr.release))
    error_message = "emr.release must be one of 7.1 or later, such as emr-7.13.0: older ones lack Python 3.11, and others do not have Spark 3.5."
  }

  validation {
    condition     = var.emr == null || try(var.emr.image == null, false) || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.[a-z.]+/[^\\s]+$", var.emr.image))
    error_message = "emr.image must name an image in ECR, the only place from which EMR Serverless takes one, or be null."
  }

  validation {
    condition     = try(var.emr.timeout_minutes >= 5 && var.emr.timeout_minutes <= 1440 && floor(var.emr.timeout_minutes) == var.emr.timeout_minutes, var.emr == null)
    error_message = "emr.timeout_minutes must be a whole number from 5 to 1440."
  }

  validation {
    condition = var.emr == null || try(alltrue([
      for worker in [var.emr.driver, var.emr.workers] :
      worker.memory_gb >= 2 * worker.cpu && worker.memory_gb <= { 1 = 8, 2 = 16, 4 = 30, 8 = 60, 16 = 120 }[worker.cpu]
      && worker.memory_gb % max(1, worker.cpu == 8 ? 4 : worker.cpu == 16 ? 8 : 1) == 0
    ]), false)
    error_message = "EMR Serverless knows workers of 1, 2, 4, 8 and 16 processors, and gives each of these 2 GB or more: at most 8, 16, 30, 60 (in steps of 4) and 120 GB (in steps of 8). emr.driver or emr.workers has another cpu or memory_gb."
  }

  validation {
    condition = try(alltrue([
      for worker in [var.emr.driver, var.emr.workers] : worker.scratch_gb >= 20 && worker.scratch_gb <= 200 && floor(worker.scratch_gb) == worker.scratch_gb
    ]), var.emr == null)
    error_message = "emr.driver.scratch_gb and emr.workers.scratch_gb must be whole numbers from 20 to 200."
  }

  validation {
    condition     = try(var.emr.workers.most >= 1 && var.emr.workers.most <= 1000 && floor(var.emr.workers.most) == var.emr.workers.most, var.emr == null)
    error_message = "emr.workers.most must be a whole number from 1 to 1000."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of the numbers that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, …"
  }
}

# --------------------------------------------------------------------------------------------- schedules and repetition

variable "schedule_minutes" {
  description = "Minutes from one run's start to the next one's. Runs that overlap harm nothing."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.schedule_minutes >= 1 && var.schedule_minutes <= 480 && floor(var.schedule_minutes) == var.schedule_minutes
    error_message = "schedule_minutes must be a whole number from 1 to 480."
  }
}

variable "schedule_enabled" {
  description = "Whether runs and compactions start by themselves. While false, the alarm on missing runs is off as well."
  type        = bool
  default     = true
  nullable    = false
}

variable "compact_schedule" {
  description = "When the lake is compacted, in UTC: an expression of EventBridge Scheduler."
  type        = string
  default     = "cron(30 3 * * ? *)"
  nullable    = false

  validation {
    condition     = can(regex("^(cron[(]([^ ()]+ ){5}[^ ()]+[)]|rate[(][1-9][0-9]* (hours|days)[)])$", var.compact_schedule))
    error_message = "compact_schedule must look like cron(30 3 * * ? *) or rate(1 days)."
  }
}

variable "retry_attempts" {
  description = "How often a stage is tried again after a TransientError or an error of Lambda's own."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.retry_attempts >= 0 && var.retry_attempts <= 20 && floor(var.retry_attempts) == var.retry_attempts
    error_message = "retry_attempts must be a whole number from 0 to 20."
  }
}

variable "retry_interval_seconds" {
  description = "Longest wait before the first repetition, in seconds. It doubles with each further repetition. The actual wait is a random part of it."
  type        = number
  default     = 15
  nullable    = false

  validation {
    condition     = var.retry_interval_seconds >= 1 && var.retry_interval_seconds <= 300 && floor(var.retry_interval_seconds) == var.retry_interval_seconds
    error_message = "retry_interval_seconds must be a whole number from 1 to 300."
  }
}

variable "retry_max_delay_seconds" {
  description = "Longest wait before any repetition, in seconds."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.retry_max_delay_seconds > var.retry_interval_seconds && var.retry_max_delay_seconds <= 3600 && floor(var.retry_max_delay_seconds) == var.retry_max_delay_seconds
    error_message = "retry_max_delay_seconds must be a whole number above retry_interval_seconds, 3600 at most."
  }
}

# ---------------------------------------------------------------------------------------------------- mails and alarms

variable "notification_emails" {
  description = "Addresses that get a mail about each failed run and each alarm. AWS asks each of them to confirm first."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.notification_emails : can(regex("^[^@ ]+@[^@ ]+[.][^@ ]+$", address))])
    error_message = "notification_emails must hold addresses such as night@example.com."
  }
}

variable "stale_after_minutes" {
  description = "Minutes without a successful run after which an alarm is raised. Null: three times schedule_minutes, 30 at least."
  type        = number
  default     = null

  validation {
    condition     = var.stale_after_minutes == null || try(var.stale_after_minutes >= 2 * var.schedule_minutes && var.stale_after_minutes >= 10 && var.stale_after_minutes <= 1440, false)
    error_message = "stale_after_minutes must be from 10 to 1440, and twice schedule_minutes at least, or null."
  }
}

variable "freshness_minutes" {
  description = "Age of the warehouse's rows, in minutes, above which an alarm is raised."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.freshness_minutes >= var.schedule_minutes
    error_message = "freshness_minutes must be schedule_minutes at least."
  }
}

# --------------------------------------------------------------------------------------------------------- the catalog

variable "catalog_database" {
  description = "Database of the Glue Data Catalog to make for the lake's tables, which `tidemark catalog --database` then fills, with a policy for whoever runs that. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.catalog_database == null || can(regex("^[a-z0-9_]{1,255}$", var.catalog_database))
    error_message = "catalog_database must have small letters, digits and underscores, as Athena wants it, or be null."
  }
}
