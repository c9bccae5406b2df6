"""Terms of the loss beside the supervised loss, a file each."""
