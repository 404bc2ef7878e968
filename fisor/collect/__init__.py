"""Behaviour data, made in the simulators."""
