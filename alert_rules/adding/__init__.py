"""Change alerts.yaml: add, remove, disable and enable an alert."""
