"""S3 semantics without HTTP: buckets, objects, multipart uploads, listings, users."""
