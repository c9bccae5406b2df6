"""Image files: lists, checks and decodes them. Loads no torch."""
