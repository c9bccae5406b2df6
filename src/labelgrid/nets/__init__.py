"""Networks: one file each, all with encode, decode and predict."""
