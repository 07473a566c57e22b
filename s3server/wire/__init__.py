"""How AWS protocols look on the wire; no storage."""
