"""The ledger: states of the grid's cells, label files, the database. No torch."""
