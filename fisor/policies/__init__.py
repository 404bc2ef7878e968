"""What is drawn from the two critics: the weights of the data, diffusion and Gaussian policies."""
