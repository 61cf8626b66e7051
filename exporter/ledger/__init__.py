"""The ledger: what has been read, what is counted, and what is to be read next.

Pure: no clock, no database, no files. A read of the log comes in, `Changes` come out; whoever owns the state makes
them durable first and applies them then.
"""
