"""Learners that cover the (cost, return) plane of a task, one per schedule of the limit.

They are independent of each other, so that each can run on a machine of its own.
"""

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
    """The learner of one schedule, with a share of the collection's steps."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        *,
        schedule: int,
        share_steps: int,
        horizon_steps: int,
        highest_cost: float,
        discount: float,
        seed: int,
    ) -> None:
        """A learner for a task.

        Args:
            observation_dim: entries of an observation.
            action_dim: entries of an action.
            schedule: index in `SCHEDULES`.
            share_steps: each learner's share of the collection's steps.
            horizon_steps: the task's.
            highest_cost: of an episode in the dataset, the unit of the schedule's limits.
            discount: gamma.
            seed: of the collection.
        """
        self._sizes = (observation_dim, action_dim)
        self._horizon_steps, self._discount = horizon_steps, discount
        self._highest_cost, self._seed = highest_cost, seed
        self._schedule, self._share_steps = schedule, share_steps
        self._key = jax.random.key(seed)
        # Whole episodes, if none ends early.
        self._stream_steps = -(-LEAST_STREAM_STEPS // horizon_steps) * horizon_steps
        # Roll-outs are numbered through all learners, of which none has more than these.
        self._before = schedule * -(-share_steps // (STREAMS * self._stream_steps))

    def init(self) -> ppo.LearnerState:
        """The state before the first roll-out."""
        return ppo.init(jax.random.fold_in(self._key, self._schedule), *self._sizes)

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
            Job(actor, (self._seed, self._before + iteration, stream), self._stream_steps)
            for stream in range(STREAMS)
        ]

    def learn(
        self, state: ppo.LearnerState, iteration: int, steps: int, streams: list[Trajectory]
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
        # steps / share_steps, in the order of operations of datasets that were collected as one.
        done = (self._schedule * self._share_steps + steps) / (len(SCHEDULES) * self._share_steps)
        limit = SCHEDULES[self._schedule](done * len(SCHEDULES) - self._schedule)
        key = jax.random.fold_in(self._key, len(SCHEDULES))
        return ppo.update(
            state,
            batch,
            jnp.float32(cost),
            jnp.float32(limit * self._highest_cost),
            jax.random.fold_in(key, self._before + iteration),
            discount=self._discount,
            horizon_steps=self._horizon_steps,
        )
