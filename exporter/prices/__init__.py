"""What calls cost by price lists: prices and when they hold, and which of them the ledger counts by."""
