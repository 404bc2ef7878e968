"""The optimiser of every network: Adam (Table 5)."""

import optax

from fisor.params import Params


def optimiser(params: Params) -> optax.GradientTransformation:
    """Adam, its rate constant as in the paper, or falling to 0 over the run as a cosine."""
    rate = params.learning_rate
    if params.cosine_decay:
        rate = optax.cosine_decay_schedule(rate, params.training_steps)
    return optax.adam(rate)
