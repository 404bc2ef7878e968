"""CDT's network: an action, and whether it costs, from the steps so far and what is to come."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from fisor.nn.dropout import Dropout
from fisor.nn.networks import dense
from fisor.nn.transformer import CausalTransformer, layer_norm, weights

Array = jax.Array

COST_OFFSET = 50.0  # a token of a cost to go C is made of 50 - C, as in the released code
RETURN, COST, OBSERVATION, ACTION = range(4)  # the order of a step's tokens
TOKENS = 4


class Window(NamedTuple):
    """Consecutive steps of B episodes.

    Attributes:
        returns: `[B, K]` return to go R: the rewards from this step on.
        costs: `[B, K]` cost to go C.
        observations: `[B, K, obs_dim]`.
        actions: `[B, K, action_dim]`.
        time: `[B, K]` int32, step of the episode.
        there: `[B, K]` bool; the other steps are not the episode's, and nothing depends on them.
    """

    returns: Any
    costs: Any
    observations: Any
    actions: Any
    time: Any
    there: Any


class Prediction(NamedTuple):
    """What is predicted at each step of a window.

    Attributes:
        mean: `[B, K, action_dim]` of the action's Gaussian, given what comes before the action.
        log_std: `[B, K, action_dim]` logarithm of its deviation.
        cost_logits: `[B, K, 2]` of a step without cost, and with one, given the action, too.
    """

    mean: Array
    log_std: Array
    cost_logits: Array


class DecisionTransformer(nn.Module):
    """The constrained decision transformer (Liu et al., ICML 2023, Section 4).

    Attributes:
        action_dim: entries of an action.
        horizon_steps: times of an episode that have an embedding; later ones get the last one's.
        blocks: of the transformer.
        units: width of a token.
        heads: of its attention; they divide `units`.
        dropout: share that is dropped in training.
        reward_scale: returns to go are multiplied by it.
        product_precision: of every layer's `product`.
    """

    action_dim: int
    horizon_steps: int
    blocks: int
    units: int
    heads: int
    dropout: float
    reward_scale: float
    product_precision: str = "float32"

    def setup(self) -> None:
        """Define the layers."""

        def layer(width: int) -> nn.Dense:
            return dense(width, self.product_precision, kernel_init=weights)

        self.embed_return, self.embed_cost = layer(self.units), layer(self.units)
        self.embed_observation, self.embed_action = layer(self.units), layer(self.units)
        self.embed_time = nn.Embed(self.horizon_steps, self.units, embedding_init=weights)
        self.norm, self.drop = layer_norm(), Dropout(self.dropout)
        self.transformer = CausalTransformer(
            self.blocks, self.heads, self.dropout, self.product_precision
        )
        self.head, self.cost_head = layer(2 * self.action_dim), layer(2)

    def _read(self, window: Window, read: list[int], training: bool) -> Array:
        """The transformer's outputs for tokens of a window, by their positions."""
        batch, steps = window.time.shape
        embedded = (
            self.embed_return(self.reward_scale * window.returns[..., None]),
            self.embed_cost(COST_OFFSET - window.costs[..., None]),
            self.embed_observation(window.observations),
            self.embed_action(window.actions),
        )
        time = self.embed_time(jnp.clip(window.time, 0, self.horizon_steps - 1))
        tokens = (jnp.stack(embedded, axis=2) + time[:, :, None]).reshape(batch, -1, self.units)
        there = jnp.repeat(window.there, TOKENS, axis=1, total_repeat_length=TOKENS * steps)
        return self.transformer(self.drop(self.norm(tokens), training), there, read, training)

    def __call__(self, window: Window, training: bool = False) -> Prediction:
        """Predictions at every step; dropout in training needs the rng `dropout`."""
        steps = window.time.shape[1]
        read = [TOKENS * step + token for step in range(steps) for token in (OBSERVATION, ACTION)]
        outputs = self._read(window, read, training).reshape(-1, steps, 2, self.units)
        mean, log_std = jnp.split(self.head(outputs[:, :, 0]), 2, axis=-1)
        return Prediction(mean, log_std, self.cost_head(outputs[:, :, 1]))

    def last_mean(self, window: Window) -> Array:
        """The mean at the window's last step alone, `[B, action_dim]`; its action is not used."""
        read = [TOKENS * (window.time.shape[1] - 1) + OBSERVATION]
        mean, _ = jnp.split(self.head(self._read(window, read, False)[:, 0]), 2, axis=-1)
        return mean
