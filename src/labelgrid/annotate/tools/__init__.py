"""The connectors to labelling tools, one file each. Loads no torch."""
