# A database of the Glue Data Catalog for the lake's tables, and the rights of whoever runs `tidemark catalog`. Nothing of
# this is made unless catalog_database names a database. No function runs that command.

locals {
  catalog_arn = "arn:${local.partition}:glue:${local.region}:${local.account_id}"
  # The log of a Delta table names its columns, and a manifest the tables that there are.
  catalog_reads = ["${local.bucket_arns.ingestion}/batches/*", "${local.bucket_arns.ingestion}/latest/*/_delta_log/*", "${local.bucket_arns.processed}/*"]
}

resource "aws_glue_catalog_database" "lake" {
  count = var.catalog_database == null ? 0 : 1

  name        = var.catalog_database
  description = "The star and latest of the pipeline ${var.name}."
}

resource "aws_iam_policy" "catalog" {
  count = var.catalog_database == null ? 0 : 1

  name        = "${local.global_name}-catalog"
  description = "For who runs tidemark catalog: reads what describes the lake's tables, and writes their entries in the catalog."
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        { Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.bucket_arns.ingestion, local.bucket_arns.processed] },
        { Effect = "Allow", Action = ["s3:GetObject"], Resource = local.catalog_reads },
        {
          Effect = "Allow"
          Action = ["glue:CreateTable", "glue:GetTables", "glue:UpdateTable"]
          Resource = [
            "${local.catalog_arn}:catalog",
            "${local.catalog_arn}:database/${var.catalog_database}",
            "${local.catalog_arn}:table/${var.catalog_database}/*",
          ]
        },
      ],
      [for key_arn in compact([var.kms_key_arn]) : {
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.${data.aws_partition.current.dns_suffix}" } }
      }],
    )
  })
}
