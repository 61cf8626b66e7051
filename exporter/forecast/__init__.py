"""Where the day and the month will end: pure, from the hourly history and from what is spent so far."""
