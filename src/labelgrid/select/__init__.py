"""Strategies that choose cells: one file each. No torch."""
