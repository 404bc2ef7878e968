"""HTML pages: one file each, readable offline, with charts and moving pictures."""
