"""Chooses cells to label; one file per strategy. Loads no torch."""
