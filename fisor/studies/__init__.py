"""Studies: one file each, its experiments run by DVC, a table and a figure of them."""
