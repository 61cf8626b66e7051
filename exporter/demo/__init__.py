"""The demo: an embedded PostgreSQL with plausible history and live traffic."""
