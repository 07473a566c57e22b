"""An S3-compatible object store for scientific computing centres."""

__version__ = "0.1.0"
