"""What must be seen of each alert: one module a theme, each with the scenarios of one file of promtool tests."""
