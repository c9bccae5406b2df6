"""Reads what a project or a study has to show, and writes the report."""
