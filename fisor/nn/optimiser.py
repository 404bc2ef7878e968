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
    """Adam, with a constant learning rate as in the paper, or one that decays as a cosine to 0.

    Args:
        config: learning rate, length of the run, and whether the rate decays.
        learning_rate: replaces that of the configuration.
    """
    rate = config.learning_rate if learning_rate is None else learning_rate
    if config.cosine_decay:
        rate = optax.cosine_decay_schedule(rate, config.training_steps)
    return optax.adam(rate)


def begin(adam: optax.GradientTransformation, params: Any) -> Learner:
    """The state before the first step."""
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
        loss: parameters -> (loss `[]`, auxiliary output).

    Returns:
        The network after the step, and the loss and auxiliary output before the step.
    """
    (value, rest), gradient = jax.value_and_grad(loss, has_aux=True)(learner.params)
    change, adam_state = adam.update(gradient, learner.adam, learner.params)
    return Learner(optax.apply_updates(learner.params, change), adam_state), value, rest
