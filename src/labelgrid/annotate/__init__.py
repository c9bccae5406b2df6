"""Connectors to labelling tools, one file each: send requests, receive labels. Loads no torch."""
