"""Metadata engines: ordered maps with checked atomic commits."""
