"""The Grafana dashboards, written with grafanalib: one module a dashboard, one function a panel."""
