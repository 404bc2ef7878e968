"""The environments in which policies are evaluated and data is collected: one module per suite."""
