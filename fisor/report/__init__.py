"""The report: tables, pictures, metrics."""
