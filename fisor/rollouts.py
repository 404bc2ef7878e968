"""Rollouts: episodes of all seeds step together, through one product of the policy a step."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import jax
import numpy as np
from tqdm import tqdm

from fisor import acting
from fisor.acting import PolicyNetworks, PolicyParams
from fisor.envs import Episode, Outcome
from fisor.errors import InputError
from fisor.tasks import Task

NO_EPISODE = -1


class Environment(Protocol):
    """What runs B episodes at once: `SimulatorPool`, or `PointRobotBatch`."""

    def advance(
        self, starting: Mapping[int, Episode], stepping: np.ndarray, actions: np.ndarray
    ) -> Outcome:
        """Start episodes in some slots and take one step in others."""


class Rollouts(NamedTuple):
    """What happened: S seeds, E episodes each, up to the horizon's H steps.

    Attributes:
        rewards: `[H, S, E]`.
        costs: `[H, S, E]` cost of the state after the step.
        lengths: `[S, E]` steps until the episode ended.
        reached_goal: `[S, E]` bool; None where there is no goal.
        observations: `[H, S, E, obs_dim]` before each step; None where they were not kept.
        start_observations: `[E, obs_dim]`.
    """

    rewards: np.ndarray
    costs: np.ndarray
    lengths: np.ndarray
    reached_goal: np.ndarray | None
    observations: np.ndarray | None
    start_observations: np.ndarray


def roll_out(
    networks: PolicyNetworks,
    params: PolicyParams,
    task: Task,
    environment: Environment,
    *,
    reset_seeds: np.ndarray,
    in_flight: int,
    candidates: int,
    seed: int,
) -> Rollouts:
    """Run every training seed's policy from the same starts.

    All seeds step together, `in_flight` episodes each; where one ends, the seed's next one starts.
    An action's key is made of `seed`, the training seed, the episode and the step, so it depends on
    nothing else that runs. The policy always acts on `[seeds, in_flight]` rows, wanted or not: on a
    CPU a product's last bits change with its shape. So on one machine the same arguments give the
    same bits, whatever the number of processes and whichever of them fails.

    Args:
        networks: the policy's definitions.
        params: stacked along `[seeds]`.
        task: for the horizon and what to keep.
        environment: runs seeds x in_flight episodes.
        reset_seeds: `[E]` seeds of the starts.
        in_flight: episodes of a seed at once, 1 to E.
        candidates: N.
        seed: of the policies' randomness.

    Returns:
        The rollouts; what follows an episode's end is zero.

    Raises:
        InputError: an episode fails in the environment again and again, or has numbers that are not
            finite.
    """
    seeds, episodes, horizon = number_of_seeds(params), reset_seeds.size, task.horizon_steps
    act = _actor(networks, params, candidates, seed, (seeds, in_flight))
    rewards, costs = np.zeros((2, horizon, seeds, episodes))
    lengths = np.zeros((seeds, episodes), np.int32)
    reached_goal = np.zeros((seeds, episodes), bool)
    starts: dict[int, np.ndarray] = {}
    kept: np.ndarray | None = None

    # Of each slot: its seed, and the episode that runs in it, at first and at last none.
    seed_of = np.repeat(np.arange(seeds), in_flight)
    episode_of = np.full(seed_of.size, NO_EPISODE)
    queues = [deque(range(episodes)) for _ in range(seeds)]
    actions = np.zeros((seed_of.size, networks.score.action_dim), np.float32)
    observations = np.zeros((seed_of.size, 0), np.float32)
    with tqdm(
        total=lengths.size, desc=f"evaluate {task.name}", unit="episode", disable=None
    ) as progress:
        while True:
            starting: dict[int, Episode] = {}
            for slot in np.flatnonzero(episode_of == NO_EPISODE).tolist():
                if queue := queues[seed_of[slot]]:
                    episode_of[slot] = index = queue.popleft()
                    starting[slot] = Episode(int(seed_of[slot]), index, int(reset_seeds[index]))
            running = episode_of != NO_EPISODE
            if not running.any():
                break
            stepping = running.copy()
            stepping[list(starting)] = False
            at = seed_of, episode_of
            if stepping.any():
                actions = act(observations, np.where(running, episode_of, 0), lengths[at])
                _refuse_not_finite("the policy's action", actions, stepping, task, *at)
            outcome = environment.advance(starting, stepping, actions)
            for what in ("observations", "rewards", "costs"):
                _refuse_not_finite(what, getattr(outcome, what), running, task, *at)

            begun = np.flatnonzero(running & outcome.started)
            lengths[seed_of[begun], episode_of[begun]] = 0
            starts |= {int(episode_of[slot]): outcome.observations[slot] for slot in begun}
            # One index for each row that stepped: (step, seed, episode).
            stepped = np.flatnonzero(stepping & ~outcome.started)
            of = seed_of[stepped], episode_of[stepped]
            step = lengths[of]
            if task.record_observations and kept is None:  # nothing has stepped yet
                kept = np.zeros((*rewards.shape, outcome.observations.shape[-1]), np.float32)
            elif kept is not None:
                kept[step, *of] = observations[stepped]
            rewards[step, *of] = outcome.rewards[stepped]
            costs[step, *of] = outcome.costs[stepped]
            if outcome.reached_goal is not None:
                reached_goal[of] = outcome.reached_goal[stepped]
            lengths[of] += 1
            over = stepped[outcome.over[stepped] | (lengths[of] == horizon)]
            episode_of[over] = NO_EPISODE
            progress.update(over.size)
            observations = outcome.observations
    longest = lengths.max()
    return Rollouts(
        rewards=rewards[:longest],
        costs=costs[:longest],
        lengths=lengths,
        reached_goal=reached_goal if outcome.reached_goal is not None else None,
        observations=None if kept is None else kept[:longest],
        start_observations=np.stack([starts[episode] for episode in range(episodes)]),
    )


def _actor(
    networks: PolicyNetworks,
    params: PolicyParams,
    candidates: int,
    seed: int,
    shape: tuple[int, int],
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """A function (observations, episodes, steps), a row a slot each -> actions."""

    def of_row(
        params: PolicyParams, row: jax.Array, index: jax.Array, episode: jax.Array, step: jax.Array
    ) -> jax.Array:
        key = jax.random.key(seed)
        for number in (index, episode, step):
            key = jax.random.fold_in(key, number)
        return acting.act(networks, params, row[None], key, candidates)[0]

    # The rows of a seed share its parameters, so that they become one product.
    of_seed = jax.vmap(of_row, in_axes=(None, 0, None, 0, 0))
    of_all = jax.jit(jax.vmap(of_seed))

    def act(observations: np.ndarray, episodes: np.ndarray, steps: np.ndarray) -> np.ndarray:
        rows = (
            array.reshape(*shape, *array.shape[1:]) for array in (observations, episodes, steps)
        )
        observations, episodes, steps = rows
        actions = of_all(params, observations, np.arange(shape[0]), episodes, steps)
        return np.asarray(actions).reshape(shape[0] * shape[1], -1)

    return act


def _refuse_not_finite(
    what: str,
    values: np.ndarray,
    counts: np.ndarray,
    task: Task,
    seed_of: np.ndarray,
    episode_of: np.ndarray,
) -> None:
    finite = np.isfinite(values).reshape(counts.size, -1).all(axis=1)
    if (bad := np.flatnonzero(counts & ~finite)).size:
        raise InputError(
            f"{task.name}: {what} not finite in seed {seed_of[bad[0]]}, episode "
            f"{episode_of[bad[0]]}: {values[bad[0]]}"
        )


def number_of_seeds(params: PolicyParams) -> int:
    """S of parameters stacked along `[S]`."""
    return jax.tree.leaves(params)[0].shape[0]
