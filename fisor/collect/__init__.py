"""Behaviour data, collected in the simulators."""
