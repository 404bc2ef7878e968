"""A straightforward way to train, to compare with: a Python loop over one jitted joint step.

It is organised as the paper's released code: batches are drawn on the host by NumPy; a step takes
two updates of the policy on half a batch each, with weights from the critics as they are, then one
each of V_r, Q_r, V_h and Q_h on the first rows of the same batch. Products have the precision that
JAX gives them by itself: float32 on CPUs, tensorfloat32 on GPUs. Written for this comparison.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisor.agents import Agent, Step
from fisor.config.params import Params
from fisor.critics import feasibility, losses, reward
from fisor.data.transitions import Transitions
from fisor.policies import diffusion, weights

Array = jax.Array


class Value(nn.Module):
    """An MLP of one output."""

    layers: int
    units: int

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """`[B, n]` -> `[B]`."""
        x = inputs
        for _ in range(self.layers):
            x = nn.relu(nn.Dense(self.units)(x))
        return nn.Dense(1)(x)[:, 0]


class Score(nn.Module):
    """The residual score network, every row's noise level encoded for itself."""

    action_dim: int
    blocks: int
    units: int
    dropout: float

    @nn.compact
    def __call__(self, s: Array, a: Array, time: Array, training: bool) -> Array:
        """`[B, obs_dim]`, `[B, action_dim]`, `[B, 1]` -> `[B, action_dim]`."""
        frequencies = self.param("frequencies", nn.initializers.normal(0.2), (1, 32))
        angles = 2 * jnp.pi * time @ frequencies
        encoded = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)
        encoded = nn.Dense(128)(jax.nn.mish(nn.Dense(128)(encoded)))
        x = nn.Dense(self.units)(jnp.concatenate([a, s, encoded], axis=-1))
        for _ in range(self.blocks):
            inner = nn.LayerNorm()(nn.Dropout(self.dropout, deterministic=not training)(x))
            x = x + nn.Dense(self.units)(jax.nn.mish(nn.Dense(4 * self.units)(inner)))
        return nn.Dense(self.action_dim)(jax.nn.mish(x))


class Learner(NamedTuple):
    """Parameters and optimisers of all five networks; `q_*` are twins."""

    score: Any
    average: Any
    score_optimiser: Any
    critics: dict[str, Any]  # name -> (q, v, target q, optimiser of q, optimiser of v)


class ReferenceLoop:
    """The whole method, or one pair of critics alone, advanced by a Python loop."""

    def __init__(
        self,
        params: Params,
        data: Transitions,
        pairs: tuple[str, ...],
        policy: bool,
        seed: int = 0,
    ) -> None:
        """Start the networks.

        Args:
            params: sizes and the method's parameters.
            data: in NumPy arrays, on the host.
            pairs: of `reward` and `feasibility`, the critics to train, in this order.
            policy: whether the policy is trained, too.
            seed: of the networks' first values, of batches and of noise.
        """
        self._params, self._data, self._pairs, self._with_policy = params, data, pairs, policy
        self._draw = np.random.default_rng(seed)
        self._batch_size = params.policy_batch_size if policy else params.value_batch_size
        self._adam = optax.adam(params.learning_rate)
        schedule = optax.cosine_decay_schedule(params.learning_rate, 3 * params.training_steps)
        self._adamw = optax.adamw(schedule, weight_decay=0.0)
        action_dim = data.actions.shape[-1]
        self._value = Value(params.hidden_layers, params.hidden_units)
        blocks = params.policy_blocks, params.policy_units, params.policy_dropout
        self._score = Score(action_dim, *blocks)
        self._schedule = diffusion.schedule(params.T)
        self._step = jax.jit(self._joint_step)
        self._key = jax.random.key(2 * seed)
        self._learner = jax.jit(self._fresh)(jax.random.key(2 * seed + 1))

    def advance(self, steps: int) -> Any:
        """Take `steps` steps; returns the last one's losses."""
        metrics = {}
        for _ in range(steps):
            picked = self._draw.integers(self._data.rewards.shape[0], size=self._batch_size)
            batch = jax.tree.map(lambda array, picked=picked: array[picked], self._data)
            self._key, key = jax.random.split(self._key)
            self._learner, metrics = self._step(self._learner, batch, key)
        return metrics

    def agent(self, N: int, sampler: str) -> Agent:
        """The policy as it is now, acting by the paper's rule: of N candidates the lowest Q_h.

        Args:
            N: candidates.
            sampler: by which they are drawn, a name in `fisor.policies.diffusion.SAMPLERS`.
        """
        q_h = self._learner.critics["feasibility"][2]
        action_dim = self._data.actions.shape[-1]

        def act(params: Any, memory: tuple[()], step: Step, key: Array) -> tuple[Array, tuple[()]]:
            average, q_h = params
            s = jnp.broadcast_to(step.observation, (N, *step.observation.shape))

            def predict_noise(noisy: Array, time: Array) -> Any:
                level = time[:, None].astype(jnp.float32)
                return self._score.apply(average, s, noisy, level, training=False)

            draw = diffusion.SAMPLERS[sampler]
            actions = draw(self._schedule, predict_noise, key, (N, action_dim))
            sa = jnp.concatenate([s, actions], axis=-1)
            values: Any = jax.vmap(lambda one: self._value.apply(one, sa))(q_h)
            return actions[values.max(0).argmin()], memory

        stacked = jax.tree.map(lambda leaf: leaf[None], (self._learner.average, q_h))
        return Agent(stacked, action_dim, tuple, act)

    def _fresh(self, key: Array) -> Learner:
        s, a = (jnp.zeros((1, x.shape[-1])) for x in (self._data.observations, self._data.actions))
        score_key, *keys = jax.random.split(key, 1 + len(self._pairs))
        score = self._score.init(score_key, s, a, jnp.zeros((1, 1)), training=False)
        pairs = {}
        for name, pair_key in zip(self._pairs, keys, strict=True):
            twin_keys = jax.random.split(pair_key, 3)
            sa = jnp.concatenate([s, a], axis=-1)
            q = jax.vmap(lambda k, sa=sa: self._value.init(k, sa))(twin_keys[:2])
            v = self._value.init(twin_keys[2], s)
            pairs[name] = (q, v, q, self._adam.init(q), self._adam.init(v))
        return Learner(score, score, self._adamw.init(score), pairs)

    def _twins(self, q: Any, rows: Transitions) -> Any:
        sa = jnp.concatenate([rows.observations, rows.actions], axis=-1)
        return jax.vmap(lambda one: self._value.apply(one, sa))(q)

    def _v(self, v: Any, s: Array) -> Any:
        return self._value.apply(v, s)

    def _joint_step(
        self, learner: Learner, batch: Transitions, key: Array
    ) -> tuple[Learner, dict[str, Array]]:
        metrics = {}
        if self._with_policy:
            half = self._batch_size // 2
            for part, part_key in enumerate(jax.random.split(key)):
                rows = jax.tree.map(lambda x, p=part: x[p * half : (p + 1) * half], batch)
                learner, metrics[f"policy{part}"] = self._policy_step(learner, rows, part_key)
        first = jax.tree.map(lambda x: x[: self._params.value_batch_size], batch)
        critics = dict(learner.critics)
        for name in self._pairs:
            critics[name], metrics[name] = self._critic_step(name, critics[name], first)
        return learner._replace(critics=critics), metrics

    def _policy_step(
        self, learner: Learner, rows: Transitions, key: Array
    ) -> tuple[Learner, Array]:
        p = self._params
        _, v_r, target_r, *_ = learner.critics["reward"]
        _, v_h, target_h, *_ = learner.critics["feasibility"]
        w = weights.policy_weight(
            self._twins(target_r, rows).min(0) - self._v(v_r, rows.observations),
            self._twins(target_h, rows).max(0),
            self._v(v_h, rows.observations),
            feasible_temperature=p.feasible_temperature,
            infeasible_temperature=p.infeasible_temperature,
            feasible_clip=p.feasible_clip,
            infeasible_clip=p.infeasible_clip,
        )
        time_key, noise_key, dropout_key = jax.random.split(key, 3)
        time = jax.random.randint(time_key, w.shape, 1, p.T + 1)
        noise = jax.random.normal(noise_key, rows.actions.shape)
        noisy = diffusion.add_noise(self._schedule, rows.actions, time, noise)

        def loss(score: Any) -> Any:
            level = time[:, None].astype(jnp.float32)
            apply = partial(self._score.apply, rngs={"dropout": dropout_key})
            predicted: Any = apply(score, rows.observations, noisy, level, training=True)
            return (w * ((noise - predicted) ** 2).sum(-1)).mean()

        value, gradient = jax.value_and_grad(loss)(learner.score)
        change, optimiser = self._adamw.update(gradient, learner.score_optimiser, learner.score)
        score = optax.apply_updates(learner.score, change)
        average = optax.incremental_update(score, learner.average, p.soft_update)
        return Learner(score, average, optimiser, learner.critics), value

    def _critic_step(self, name: str, pair: Any, rows: Transitions) -> tuple[Any, Array]:
        p = self._params
        q, v, target_q, q_optimiser, v_optimiser = pair
        is_feasibility = name == "feasibility"
        twins = self._twins(target_q, rows)
        taught = twins.max(0) if is_feasibility else twins.min(0)
        value_loss: Callable = (
            feasibility.feasible_value_loss if is_feasibility else reward.reward_value_loss
        )

        def v_loss(v: Any) -> Any:
            return value_loss(taught, self._v(v, rows.observations), p.tau).mean()

        change, v_optimiser = self._adam.update(jax.grad(v_loss)(v), v_optimiser)
        v = optax.apply_updates(v, change)
        next_v = self._v(v, rows.next_observations)
        if is_feasibility:
            target = feasibility.feasible_target(rows.violations, next_v, rows.terminals, p.gamma)
        else:
            target = losses.bellman_target(rows.rewards, next_v, rows.terminals, p.gamma)

        def q_loss(q: Any) -> Any:
            return ((self._twins(q, rows) - target[None]) ** 2).mean()

        value, gradient = jax.value_and_grad(q_loss)(q)
        change, q_optimiser = self._adam.update(gradient, q_optimiser)
        q = optax.apply_updates(q, change)
        target_q = optax.incremental_update(q, target_q, p.soft_update)
        return (q, v, target_q, q_optimiser, v_optimiser), value
