"""Deterministic placement of data on a hierarchy of devices: pure mathematics."""
