"""Simulated campaigns: studies, their runs, the oracle that answers requests, and the results."""
