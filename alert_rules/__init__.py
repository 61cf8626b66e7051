"""From a short YAML of alerts to Prometheus rules and Alertmanager's routing."""
