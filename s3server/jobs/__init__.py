"""Background work in bounded steps."""
