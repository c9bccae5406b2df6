"""Checks the project's own rules, one check per module; `./dev check` runs all of them."""
