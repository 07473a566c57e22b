"""What Prometheus is told, by every worker alike: of requests, the store, events and projects."""
