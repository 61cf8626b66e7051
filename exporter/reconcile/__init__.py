"""Is the bill right: the log against what was recorded of it, and against what the provider says."""
