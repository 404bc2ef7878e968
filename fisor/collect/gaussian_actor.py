"""The learner's policy in NumPy: it acts in the simulators' processes, which do not load JAX."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from fisor.collect.episodes import Act

LARGEST_INPUT = 10.0  # standard deviations


def mlp(layers: Sequence[tuple[Any, Any]], inputs: Any, tanh: Callable[[Any], Any]) -> Any:
    """Tanh layers and a linear one, for NumPy's arrays or JAX's: `[inputs]` -> `[outputs]`.

    Args:
        layers: of each the kernel `[inputs, outputs]` and the bias `[outputs]`.
        inputs: `[inputs]`.
        tanh: of the library whose arrays these are.
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
        observation_std: `[obs_dim]`, which they are then divided by.
    """

    layers: Sequence[tuple[np.ndarray, np.ndarray]]
    std: np.ndarray
    observation_mean: np.ndarray
    observation_std: np.ndarray

    def start(self, environment: gymnasium.Env, generator: np.random.Generator) -> Act:
        """Nothing is kept between steps but the generator."""

        def act(observation: np.ndarray) -> np.ndarray:
            inputs = (observation - self.observation_mean) / self.observation_std
            mean = mlp(self.layers, np.clip(inputs, -LARGEST_INPUT, LARGEST_INPUT), np.tanh)
            noise = generator.standard_normal(self.std.shape, np.float32)
            return mean + self.std * noise

        return act
