"""Label files: their formats, names and arrays. Loads no torch."""
