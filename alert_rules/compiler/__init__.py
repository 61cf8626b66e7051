"""From alerts as written to compiled alerts."""
