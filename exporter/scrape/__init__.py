"""What serves one scrape: collectors, the background reader, the ledger's owner, and metric families."""
