"""The cells of a project: names, tables, notes, and cells that measure something."""
