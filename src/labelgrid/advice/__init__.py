"""Advises on the next step: purchases, controls, forecasts, time."""
