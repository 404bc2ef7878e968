"""Learners that cover the (cost, return) plane of a task, one per schedule of the limit."""

import jax
import jax.numpy as jnp
import numpy as np

from fisor.collect import ppo
from fisor.collect.episodes import Job, Trajectory
from fisor.collect.gaussian_actor import GaussianActor
from fisor.collect.schedules import SCHEDULES

STREAMS = 20  # sequences of episodes, each with its own starts
LEAST_STREAM_STEPS = 200


class Learner:
    """One learner after another, one per schedule, which share a budget of steps."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        *,
        horizon_steps: int,
        highest_cost: float,
        discount: float,
        seed: int,
    ) -> None:
        """Learners for a task; see `fisor.collect.settings` for the settings."""
        self._sizes = (observation_dim, action_dim)
        self._horizon_steps, self._discount = horizon_steps, discount
        self._highest_cost, self._seed = highest_cost, seed
        self._key = jax.random.key(seed)
        # Whole episodes, if none ends early.
        self._stream_steps = -(-LEAST_STREAM_STEPS // horizon_steps) * horizon_steps

    def init(self) -> ppo.LearnerState:
        """The state before the first roll-out."""
        return ppo.init(self._key, *self._sizes, schedule=-1)

    def begin(self, state: ppo.LearnerState, done: float) -> ppo.LearnerState:
        """The state for the next roll-out, when the share `done` of the budget is used.

        A new learner starts where the next schedule's part of the budget begins.
        """
        schedule = int(done * len(SCHEDULES))
        if schedule == int(state.schedule):
            return state
        return ppo.init(jax.random.fold_in(self._key, schedule), *self._sizes, schedule=schedule)

    def jobs(self, state: ppo.LearnerState, iteration: int) -> list[Job]:
        """The episodes of one roll-out."""
        networks = jax.device_get(state.networks)
        actor = GaussianActor(
            networks.actor,
            np.exp(networks.log_std),
            np.asarray(state.mean),
            np.asarray(ppo.observation_std(state)),
        )
        return [
            Job(actor, (self._seed, iteration, stream), self._stream_steps)
            for stream in range(STREAMS)
        ]

    def learn(
        self, state: ppo.LearnerState, iteration: int, done: float, streams: list[Trajectory]
    ) -> ppo.LearnerState:
        """The state after a roll-out's update; surplus steps of a stream are not used."""
        batch = ppo.Batch(
            *(
                jnp.stack([jnp.asarray(field[: self._stream_steps]) for field in fields])
                for fields in zip(*streams, strict=True)
            )
        )
        episodes = sum(int((s.terminals | s.timeouts).sum()) for s in streams)
        cost = sum(float(s.costs.sum(dtype=np.float64)) for s in streams) / episodes
        within = done * len(SCHEDULES) - int(state.schedule)
        limit = SCHEDULES[int(state.schedule)](within) * self._highest_cost
        key = jax.random.fold_in(jax.random.fold_in(self._key, len(SCHEDULES)), iteration)
        return ppo.update(
            state,
            batch,
            jnp.float32(cost),
            jnp.float32(limit),
            key,
            discount=self._discount,
            horizon_steps=self._horizon_steps,
        )
