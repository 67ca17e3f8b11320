"""Money: prices of what is planned, books of what was used, the ledger of what is gone."""
