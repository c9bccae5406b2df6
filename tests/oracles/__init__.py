"""Programs for the libraries of other tools, which have an environment of their own."""
