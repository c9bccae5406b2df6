"""Ranks the labels of a project by doubt, and keeps the labels that were found right."""
