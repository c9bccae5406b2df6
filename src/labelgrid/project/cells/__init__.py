"""The cells of a project: their names, tables and notes, and those that measure something."""
