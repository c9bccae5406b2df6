"""What labels of some tasks say about another task of the same image. Loads no torch."""
