"""Load and memory measurements over HTTP; see README.md. Imports nothing of the server."""
