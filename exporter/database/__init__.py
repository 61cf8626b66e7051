"""The connection to PostgreSQL, what is read of it, and its failures in words that are safe to print."""
