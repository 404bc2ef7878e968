"""The optimiser of every network, Adam (Table 5), and one gradient step with it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from fisor.config.training import Training

Array = jax.Array


class Learner(NamedTuple):
    """A network in training.

    Attributes:
        params: its parameters.
        adam: the optimiser's state for them.
    """

    params: Any
    adam: Any


def optimiser(config: Training, learning_rate: float | None = None) -> optax.GradientTransformation:
    """Adam, its rate constant as in the paper, or falling to 0 over the run as a cosine.

    Args:
        config: the rate, the run's length, and whether the rate falls.
        learning_rate: another rate than the configuration's first one.
    """
    rate = config.learning_rate if learning_rate is None else learning_rate
    if config.cosine_decay:
        rate = optax.cosine_decay_schedule(rate, config.training_steps)
    return optax.adam(rate)


def begin(adam: optax.GradientTransformation, params: Any) -> Learner:
    """A network before its first step."""
    return Learner(params, adam.init(params))


def descend(
    adam: optax.GradientTransformation,
    learner: Learner,
    loss: Callable[[Any], tuple[Array, Any]],
) -> tuple[Learner, Array, Any]:
    """One gradient step.

    Args:
        adam: the optimiser.
        learner: before the step.
        loss: parameters -> the loss `[]`, and whatever else is wanted of the same pass.

    Returns:
        The network after the step; the loss, and what came with it, before the step.
    """
    (value, rest), gradient = jax.value_and_grad(loss, has_aux=True)(learner.params)
    change, adam_state = adam.update(gradient, learner.adam, learner.params)
    return Learner(optax.apply_updates(learner.params, change), adam_state), value, rest
