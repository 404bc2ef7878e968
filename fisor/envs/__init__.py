"""The environments in which policies are evaluated and data is collected."""
