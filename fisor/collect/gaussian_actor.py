"""The learner's policy in NumPy: it acts in the simulators' processes, which do not load JAX."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from fisor.collect.episodes import Act

LARGEST_INPUT = 10.0  # standard deviations


def mlp(layers: Sequence[tuple[Any, Any]], inputs: Any, tanh: Callable[[Any], Any]) -> Any:
    """Tanh layers and a linear one, for arrays of NumPy or JAX: `[inputs]` -> `[outputs]`.

    Args:
        layers: the kernel `[inputs, outputs]` and the bias `[outputs]` of each layer.
        inputs: `[inputs]`.
        tanh: the function of the same library.
    """
    for kernel, bias in layers[:-1]:
        inputs = tanh(inputs @ kernel + bias)
    kernel, bias = layers[-1]
    return inputs @ kernel + bias


class GaussianActor(NamedTuple):
    """Draws from a normal distribution around an MLP's output.

    Attributes:
        layers: the MLP.
        std: `[action_dim]` standard deviation.
        observation_mean: `[obs_dim]`, subtracted from observations.
        observation_std: `[obs_dim]`, by which the difference is divided.
    """

    layers: Sequence[tuple[np.ndarray, np.ndarray]]
    std: np.ndarray
    observation_mean: np.ndarray
    observation_std: np.ndarray

    def start(self, environment: gymnasium.Env, generator: np.random.Generator) -> Act:
        """Begin an episode; only the generator is kept between steps."""

        def act(observation: np.ndarray) -> np.ndarray:
            inputs = (observation - self.observation_mean) / self.observation_std
            mean = mlp(self.layers, np.clip(inputs, -LARGEST_INPUT, LARGEST_INPUT), np.tanh)
            noise = generator.standard_normal(self.std.shape, np.float32)
            return mean + self.std * noise

        return act
