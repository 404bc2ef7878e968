"""The report: tables, pictures, metrics; and two experiments compared."""
