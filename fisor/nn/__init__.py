"""Neural networks: layers, the optimiser, and checkpoints of their parameters."""
