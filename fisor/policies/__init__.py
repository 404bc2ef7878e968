"""Policies extracted from the two critics: data weights, diffusion and Gaussian policies."""
