"""The SQL files that an operator runs, generated from what the exporter knows of tables, columns and labels."""
