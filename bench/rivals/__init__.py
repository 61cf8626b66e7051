"""The alternatives that the exporter is measured against, with the SQL that a competent user gives them."""
