"""Simulated campaigns: studies, runs, the oracle behind requests, and the results."""
