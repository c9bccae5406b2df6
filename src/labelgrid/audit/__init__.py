"""Ranks the labels of a project by how likely they are wrong, and keeps which were found right."""
