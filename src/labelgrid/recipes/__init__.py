"""Shipped recipes (TOML), and the code that loads and checks recipes."""
