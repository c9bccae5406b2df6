"""Which rules of the house are checked, one check a module; `./dev check` runs them all."""
