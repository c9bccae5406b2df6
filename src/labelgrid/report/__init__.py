"""Curves, tables and one self-contained HTML file. No torch."""
