"""What browsers need of the server beside S3's operations; they sign nothing, or sign a form."""
