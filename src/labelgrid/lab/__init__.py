"""A laboratory: simulated campaigns, reports of studies, and rendered rooms with exact labels."""
