"""Alerts: from a YAML that a manager reads to Prometheus rules, Alertmanager's routing and Discord's messages."""
