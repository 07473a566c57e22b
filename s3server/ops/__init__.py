"""One file per S3 resource: dict in, dict out."""
