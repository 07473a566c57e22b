"""Processes: the supervisor, its workers, and the HTTP protocol they speak."""
