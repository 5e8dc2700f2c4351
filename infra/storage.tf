# Three buckets with the same settings; the pointer; the credentials of the two databases.

resource "aws_s3_bucket" "this" {
  for_each = local.bucket_names

  bucket        = each.value
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
    # One key of the bucket for many objects: otherwise each put and get is a request to KMS, which costs.
    bucket_key_enabled = var.kms_key_arn != null
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket_arns[each.key], "${local.bucket_arns[each.key]}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # S3 refuses a change of the policy while it applies a change of the access block.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  rule {
    id     = "abandoned-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  # What Spark and DuckDB hand each other is removed at once, so no older version of it is of use.
  rule {
    id     = "scratch"
    status = "Enabled"

    filter {
      prefix = "tidemark-scratch/"
    }

    expiration {
      days = 7
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # S3 refuses rules on old versions if the bucket has no versions.
  depends_on = [aws_s3_bucket_versioning.this]
}

# Made here, so that `terraform destroy` removes it and no function needs the right to create it. Ingest writes the
# value.
resource "aws_ssm_parameter" "pointer" {
  name        = local.pointer_name
  description = "How far the last poll of ${var.name} came: a cache, which ingest rebuilds from the newest manifest."
  type        = "String"
  tier        = "Standard"
  value       = "{}"

  lifecycle {
    ignore_changes = [value, insecure_value]
  }
}

# A secret without a value: the password never passes through Terraform, whose state would keep it in clear text. The
# name is a prefix, because the name of a deleted secret stays taken for a week.
resource "aws_secretsmanager_secret" "source" {
  count = var.source_secret_arn == null ? 1 : 0

  name_prefix             = "${var.name}/source-"
  description             = "How ${var.name} reaches its source: host, port, dbname, username, password."
  kms_key_id              = local.secret_kms_key_arns.source
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret" "warehouse" {
  count = var.warehouse_secret_arn == null ? 1 : 0

  name_prefix             = "${var.name}/warehouse-"
  description             = "How ${var.name} reaches its warehouse: host, port, dbname, username, password."
  kms_key_id              = local.secret_kms_key_arns.warehouse
  recovery_window_in_days = 7
}

locals {
  source_secret_arn    = var.source_secret_arn == null ? aws_secretsmanager_secret.source[0].arn : var.source_secret_arn
  warehouse_secret_arn = var.warehouse_secret_arn == null ? aws_secretsmanager_secret.warehouse[0].arn : var.warehouse_secret_arn
  # A secret that is made here has the key of everything, unless it has a key of its own.
  secret_kms_key_arns = {
    source    = var.source_secret_arn == null && var.source_secret_kms_key_arn == null ? var.kms_key_arn : var.source_secret_kms_key_arn
    warehouse = var.warehouse_secret_arn == null && var.warehouse_secret_kms_key_arn == null ? var.kms_key_arn : var.warehouse_secret_kms_key_arn
  }
}
