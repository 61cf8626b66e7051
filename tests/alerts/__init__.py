"""Tests of alerts, from their YAML to their documents."""
