"""The quantities that a condition can name, as PromQL."""
