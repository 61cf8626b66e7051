"""Reports for people and scripts: the commands `operations` and `budget`."""
