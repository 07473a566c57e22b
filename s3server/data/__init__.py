"""Object bytes: pools, codecs, OSD directories, volume and shard files."""
