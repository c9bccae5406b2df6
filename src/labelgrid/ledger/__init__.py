"""The ledger: states of the grid's cells and the database. Loads no torch."""
