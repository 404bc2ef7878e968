"""A conditional variational autoencoder of the dataset's actions, for BCQ-Lag and CPQ."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from fisor.config.baseline import CriticTraining
from fisor.config.section import setting
from fisor.nn.networks import MLP, forward
from fisor.nn.optimiser import Learner, descend

Array = jax.Array

HIDDEN_LAYERS = 2
LATENT_PER_ACTION = 2  # entries of the latent for each entry of an action
LOG_STD_BOUNDS = -4.0, 15.0  # of the encoder, as published
LATENT_BOUND = 0.5  # latents are drawn within it: only likely actions
KL_WEIGHT = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAETraining(CriticTraining):
    """What methods with action values and a variational autoencoder have.

    Attributes:
        vae_learning_rate: the autoencoder's.
        vae_units: of each of its hidden layers.
        sampled_actions: drawn in each state.
        cost_limit: cost per episode; None is the task's.
    """

    vae_learning_rate: float = setting(gt=0, lt=1, by_task=True)
    vae_units: int = setting(ge=1, le=65536, by_task=True)
    sampled_actions: int = setting(ge=1, le=1000)
    cost_limit: float | None = setting(ge=0)


class Latent(NamedTuple):
    """A Gaussian's mean and logarithm of its deviation, `[..., latent_dim]`."""

    mean: Array
    log_std: Array


class VAE(NamedTuple):
    """Its two networks; their parameters are under the keys `encoder` and `decoder`."""

    encoder: MLP
    decoder: MLP

    @classmethod
    def of(cls, action_dim: int, units: int, product_precision: str = "float32") -> "VAE":
        """At those sizes and that precision."""
        outputs = 2 * LATENT_PER_ACTION * action_dim, action_dim
        return cls(*(MLP(n, HIDDEN_LAYERS, units, product_precision) for n in outputs))

    @property
    def latent_dim(self) -> int:
        """Entries of the latent."""
        return LATENT_PER_ACTION * self.decoder.outputs

    def fresh(self, key: Array, observation_dim: int) -> dict[str, Any]:
        """First parameters. Consumes `key`."""
        keys = jax.random.split(key)
        inputs = observation_dim + self.decoder.outputs, observation_dim + self.latent_dim
        encoder, decoder = (
            network.init(own, jnp.zeros((1, n)))
            for network, own, n in zip(self, keys, inputs, strict=True)
        )
        return {"encoder": encoder, "decoder": decoder}

    def encode(self, params: Any, observations: Array, actions: Array) -> Latent:
        """q(z | s, a) of `[..., obs_dim]` and `[..., action_dim]`."""
        inputs = jnp.concatenate([observations, actions], axis=-1)
        mean, log_std = jnp.split(forward(self.encoder, params["encoder"], inputs), 2, axis=-1)
        return Latent(mean, jnp.clip(log_std, *LOG_STD_BOUNDS))

    def decode(self, params: Any, observations: Array, latents: Array) -> Array:
        """Actions `[..., action_dim]` in [-1, 1] of `[..., obs_dim]` and `[..., latent_dim]`."""
        inputs = jnp.concatenate([observations, latents], axis=-1)
        return jnp.tanh(forward(self.decoder, params["decoder"], inputs))

    def draw(self, params: Any, observations: Array, key: Array) -> Array:
        """One action `[..., action_dim]` like the dataset's in each state `[..., obs_dim]`.

        The latent is drawn from N(0, 1) and clipped to [-0.5, 0.5], as BCQ's code does. Needs the
        decoder's parameters alone. Consumes `key`.
        """
        latents = jax.random.normal(key, (*observations.shape[:-1], self.latent_dim))
        return self.decode(params, observations, jnp.clip(latents, -LATENT_BOUND, LATENT_BOUND))

    def learn(
        self,
        adam: optax.GradientTransformation,
        learner: Learner,
        observations: Array,
        actions: Array,
        key: Array,
    ) -> tuple[Learner, Array]:
        """One gradient step on the mean `loss` of a batch.

        Args:
            adam: the optimiser.
            learner: before the step.
            observations: `[B, obs_dim]`.
            actions: `[B, action_dim]`.
            key: a JAX key, consumed.

        Returns:
            The autoencoder after the step, and the loss `[]` before it.
        """

        def mean_loss(params: Any) -> tuple[Array, None]:
            latent = self.encode(params, observations, actions)
            noise = jax.random.normal(key, latent.mean.shape)
            z = latent.mean + jnp.exp(latent.log_std) * noise
            return jax.vmap(loss)(
                self.decode(params, observations, z), actions, latent
            ).mean(), None

        learner, value, _ = descend(adam, learner, mean_loss)
        return learner, value


def divergence(latent: Latent) -> Array:
    """KL(q(z | s, a) || N(0, 1)), mean over the entries of z, `[latent_dim]` -> `[]`.

    (mu^2 + sigma^2 - 1) / 2 - log sigma. The mean, not the sum, as in BCQ's code and OSRL.
    """
    mean, log_std = latent
    return (0.5 * (jnp.square(mean) + jnp.exp(2 * log_std) - 1) - log_std).mean()


def loss(reconstruction: Array, action: Array, latent: Latent) -> Array:
    """(a - D(s, z))^2 + KL / 2, means over the entries of a and of z (BCQ, Fujimoto et al. 2019).

    Args:
        reconstruction: `[action_dim]` the decoder's action.
        action: `[action_dim]` the dataset's.
        latent: `[latent_dim]` the encoder's distribution, of which z was drawn.
    """
    return jnp.square(reconstruction - action).mean() + KL_WEIGHT * divergence(latent)
