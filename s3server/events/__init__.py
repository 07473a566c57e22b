"""Where events go: brokers and web hooks, behind one interface. Knows nothing of buckets."""
