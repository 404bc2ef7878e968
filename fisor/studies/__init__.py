"""Studies: a file each, its experiments run through DVC's queue, a table and a figure of them."""
