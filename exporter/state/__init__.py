"""The ledger's state on disk: one SQLite file in a folder that one process owns."""
