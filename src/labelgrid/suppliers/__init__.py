"""Suppliers and relations: labels from either, and the trust in these labels."""
