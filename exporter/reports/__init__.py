"""What the log and the budgets say now, for people and for scripts: `operations` and `budget`."""
