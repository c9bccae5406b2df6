"""What to do next, and whether it pays: purchases, controls, forecasts, time."""
