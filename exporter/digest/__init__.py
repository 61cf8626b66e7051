"""The daily digest: one message a day of what was spent, where it leads, and what to do about it."""
