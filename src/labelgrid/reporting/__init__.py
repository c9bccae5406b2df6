"""Collects the content of project and study reports, and writes them."""
