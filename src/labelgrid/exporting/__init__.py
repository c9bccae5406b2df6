"""Writes a network as a file that programs without labelgrid run."""
