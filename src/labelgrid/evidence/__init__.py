"""Weighs evidence for and against labels, which come in as values: no project, no network."""
