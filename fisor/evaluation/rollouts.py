"""Rollouts: episodes of all seeds step together, with one batched policy call per step."""

from collections import deque
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fisor.agents import Agent, Step
from fisor.config.evaluation import EvaluationStage
from fisor.envs.suites import Batch, Episode
from fisor.errors import InputError
from fisor.evaluation.actor import actor

NO_EPISODE = -1


class Rollouts(NamedTuple):
    """What happened: S seeds, E episodes each, up to the horizon's H steps.

    Attributes:
        rewards: `[H, S, E]`.
        costs: `[H, S, E]` cost of the state after the step.
        lengths: `[S, E]` steps until the episode ended.
        reached_goal: `[S, E]` bool; None where there is no goal.
        left_box: `[S, E]` bool, whether leaving the box ended it; None where there is none.
        observations: `[H, S, E, obs_dim]` before each step; None where they were not kept.
        start_observations: `[E, obs_dim]`.
    """

    rewards: np.ndarray
    costs: np.ndarray
    lengths: np.ndarray
    reached_goal: np.ndarray | None
    left_box: np.ndarray | None
    observations: np.ndarray | None
    start_observations: np.ndarray


def roll_out(
    agent: Agent,
    task: EvaluationStage,
    environment: Batch,
    *,
    reset_seeds: np.ndarray,
    in_flight: int,
) -> Rollouts:
    """Run every training seed's policy from the same starts.

    All seeds step together, `in_flight` episodes each; where one ends, the seed's next one starts.
    An action's key is made of `evaluation_seed`, the training seed, the episode and the step, so it
    depends on nothing else that runs. Where an episode starts, or starts again because its
    simulator failed, the agent's memory is the initial one. The agent always acts on
    `[seeds, in_flight]` rows, wanted or not: on a CPU a product's last bits change with its shape.
    So on one machine the same arguments give the same bits, whatever the number of processes and
    whichever of them fails.

    Args:
        agent: what acts, S seeds.
        task: for the horizon, what to keep, and the seed of the policies' randomness.
        environment: runs seeds x in_flight episodes.
        reset_seeds: `[E]` seeds of the starts.
        in_flight: episodes of a seed at once, 1 to E.

    Returns:
        The rollouts; what follows an episode's end is zero.

    Raises:
        InputError: an episode fails in the environment again and again, or has numbers that are not
            finite.
    """
    seeds, episodes, horizon = agent.seeds, reset_seeds.size, task.horizon_steps
    act = actor(agent, task.evaluation_seed, (seeds, in_flight))
    rewards, costs = np.zeros((2, horizon, seeds, episodes))
    lengths = np.zeros((seeds, episodes), np.int32)
    # How an episode ended, where the environment tells.
    endings = {name: np.zeros((seeds, episodes), bool) for name in ("reached_goal", "left_box")}
    starts: dict[int, np.ndarray] = {}
    kept: np.ndarray | None = None

    # Of each slot: its seed, and the episode that runs in it, at first and at last none.
    seed_of = np.repeat(np.arange(seeds), in_flight)
    episode_of = np.full(seed_of.size, NO_EPISODE)
    queues = [deque(range(episodes)) for _ in range(seeds)]
    actions = np.zeros((seed_of.size, agent.action_dim), np.float32)
    observations = np.zeros((seed_of.size, 0), np.float32)
    last_rewards, last_costs = np.zeros((2, seed_of.size), np.float32)
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
                seen = Step(observations, last_rewards, last_costs, lengths[at])
                actions = act(seen, np.where(running, episode_of, 0))
                _refuse_not_finite("the policy's action", actions, stepping, task, *at)
            outcome = environment.advance(starting, stepping, actions)
            for what in ("observations", "rewards", "costs"):
                _refuse_not_finite(what, getattr(outcome, what), running, task, *at)

            begun = np.flatnonzero(running & outcome.started)
            lengths[seed_of[begun], episode_of[begun]] = 0
            last_rewards, last_costs = (
                np.where(outcome.started, 0.0, values).astype(np.float32)
                for values in (outcome.rewards, outcome.costs)
            )
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
            for name, ended in endings.items():
                if (now := getattr(outcome, name)) is not None:
                    ended[of] = now[stepped]
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
        **{name: None if getattr(outcome, name) is None else endings[name] for name in endings},
        observations=None if kept is None else kept[:longest],
        start_observations=np.stack([starts[episode] for episode in range(episodes)]),
    )


def slots_of(lengths: np.ndarray, in_flight: int) -> np.ndarray:
    """In which of a seed's slots `roll_out` ran each episode, `[E]`, if no simulator failed.

    Args:
        lengths: `[E]` steps of one seed's episodes.
        in_flight: as in `roll_out`.
    """
    slots = np.zeros(lengths.size, np.int64)
    free_from = np.zeros(in_flight, np.int64)  # an episode's start takes a turn, as do its steps
    for episode, length in enumerate(lengths.tolist()):
        slots[episode] = slot = free_from.argmin()
        free_from[slot] += 1 + length
    return slots


def _refuse_not_finite(
    what: str,
    values: np.ndarray,
    counts: np.ndarray,
    task: EvaluationStage,
    seed_of: np.ndarray,
    episode_of: np.ndarray,
) -> None:
    finite = np.isfinite(values).reshape(counts.size, -1).all(axis=1)
    if (bad := np.flatnonzero(counts & ~finite)).size:
        raise InputError(
            f"{task.name}: {what} not finite in seed {seed_of[bad[0]]}, episode "
            f"{episode_of[bad[0]]}: {values[bad[0]]}"
        )
