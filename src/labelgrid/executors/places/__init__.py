"""The places where jobs run, one file each. Loads no torch."""
