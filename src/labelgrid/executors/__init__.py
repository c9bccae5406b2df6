"""Runs work elsewhere, each piece in a folder that shows and stops it. Loads no torch."""
