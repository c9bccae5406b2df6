"""Terms that are added to the supervised loss, one file each."""
