"""Prometheus exporter for the PostgreSQL table ``ai_operation_log``."""
