"""What should change: recommendations from the log, each with the SQL that shows why."""
