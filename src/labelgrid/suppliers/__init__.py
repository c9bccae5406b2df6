"""Suppliers and relations: the labels that they bring, and the trust in these labels."""
