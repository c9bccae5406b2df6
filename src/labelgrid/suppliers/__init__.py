"""Suppliers and relations: how far they are trusted, and the labels that they bring."""
