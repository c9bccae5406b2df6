"""Requests out, labels in: one file a tool. No torch."""
