"""Reports for people and scripts: what `operations`, `budget`, `prices`, `state show` and `config show` print."""
