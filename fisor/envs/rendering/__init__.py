"""Pictures of the simulators' states, without a display: one module per suite."""
