"""Divides images into regions, and composes labels from answered regions. Loads no torch."""
