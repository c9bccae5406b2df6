"""TOML shipped with the package."""
