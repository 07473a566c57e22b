"""Where shards go: pure, deterministic arithmetic on integers. No I/O, clock or randomness."""
