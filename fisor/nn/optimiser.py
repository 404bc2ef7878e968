"""The optimiser of every network: Adam (Table 5)."""

import optax

from fisor.config.training import Training


def optimiser(config: Training) -> optax.GradientTransformation:
    """Adam, its rate constant as in the paper, or falling to 0 over the run as a cosine."""
    rate = config.learning_rate
    if config.cosine_decay:
        rate = optax.cosine_decay_schedule(rate, config.training_steps)
    return optax.adam(rate)
