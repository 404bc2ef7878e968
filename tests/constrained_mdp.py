"""A small constrained decision process whose best policy under a cost limit is known exactly."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from configured import configured
from scipy.optimize import linprog

from fisor.agents import Agent, Policy, load_agent
from fisor.baselines.baseline import Problem, Trained, save
from fisor.baselines.limits import discounted_limit
from fisor.data.transitions import Transitions
from fisor.methods import method_module
from fisor.training.fit import fit

CAREFUL, DARING = 0, 1  # what an action below 0, and one above 0, comes to


class ConstrainedMDP(NamedTuple):
    """States are seen one-hot; an action in [-1, 1] counts by its sign.

    Attributes:
        transition: `[s, a, s']` probabilities.
        rewards: `[s, a]`.
        costs: `[s, a]`.
        start: `[s]` probabilities of the first state.
        gamma: discount.
        cost_limit: of the discounted costs, from the start on.
    """

    transition: np.ndarray
    rewards: np.ndarray
    costs: np.ndarray
    start: np.ndarray
    gamma: float
    cost_limit: float

    def optimum(self) -> tuple[float, np.ndarray]:
        """The highest discounted reward within the limit, and the share of daring actions `[s]`.

        By the linear program over discounted occupancies x(s, a) (Altman, Constrained Markov
        Decision Processes, 1999): maximise x r where x c is at most the limit and each state's
        outflow is its start plus its inflow.
        """
        states, actions = self.rewards.shape
        flow = np.zeros((states, states, actions))
        for state in range(states):
            flow[state, state, :] += 1
            flow[state] -= self.gamma * self.transition[:, :, state]
        solved = linprog(
            -self.rewards.ravel(),
            A_ub=self.costs.reshape(1, -1),
            b_ub=[self.cost_limit],
            A_eq=flow.reshape(states, -1),
            b_eq=self.start,
        )
        assert solved.status == 0, solved.message
        occupancy = solved.x.reshape(states, actions)
        return -solved.fun, occupancy[:, DARING] / occupancy.sum(axis=1)

    def values(self, daring: np.ndarray) -> tuple[float, float]:
        """The discounted reward and cost of a policy, from the start on, by a linear system.

        Args:
            daring: `[s]` probability of a daring action.
        """
        chosen = np.stack([1 - daring, daring], axis=1)
        moves = np.einsum("sa,sat->st", chosen, self.transition)
        from_start = np.linalg.solve(np.eye(len(daring)) - self.gamma * moves.T, self.start)
        rewards, costs = (
            (chosen * table).sum(axis=1) @ from_start for table in (self.rewards, self.costs)
        )
        return float(rewards), float(costs)

    def dataset(self, episodes: int, horizon_steps: int, seed: int = 0) -> tuple[Transitions, Any]:
        """Episodes of actions drawn alike on both sides of 0, and a `Problem` without the limit.

        Each ends by its time limit; its last row is a timeout, which counts as no end.
        """
        draw, states = np.random.default_rng(seed), len(self.start)
        rows = episodes * horizon_steps
        visited = np.zeros((episodes, horizon_steps + 1), int)
        visited[:, 0] = draw.choice(states, episodes, p=self.start)
        chosen = draw.integers(2, size=(episodes, horizon_steps))
        for step in range(horizon_steps):
            odds = self.transition[visited[:, step], chosen[:, step]].cumsum(axis=1)
            drawn = (draw.random((episodes, 1)) > odds).sum(axis=1)
            visited[:, step + 1] = np.minimum(drawn, states - 1)
        actions = np.where(chosen == DARING, 1.0, -1.0) * draw.uniform(0.4, 0.8, chosen.shape)
        here, there = visited[:, :-1].ravel(), visited[:, 1:].ravel()
        one_hot = np.eye(states, dtype=np.float32)
        data = Transitions(
            observations=one_hot[here],
            actions=actions.astype(np.float32).reshape(-1, 1),
            next_observations=one_hot[there],
            rewards=self.rewards[here, chosen.ravel()].astype(np.float32),
            costs=self.costs[here, chosen.ravel()].astype(np.float32),
            violations=None,
            terminals=np.zeros(rows, bool),
        )
        steps = np.tile(np.arange(horizon_steps), episodes)
        return data, partial(
            Problem,
            horizon_steps=horizon_steps,
            episode=np.repeat(np.arange(episodes), horizon_steps),
            step=steps,
        )


def crossroads(cost_limit: float) -> ConstrainedMDP:
    """Three states, seen in an order that daring actions change a little.

    Daring earns 1 for a cost of 0.2 in the first, 0.6 for 1 in the second, and -0.5 for 1 in the
    third. So with a limit between, the best policy dares in the first state alone.
    """
    careful = np.array([[0.4, 0.3, 0.3], [0.4, 0.3, 0.3], [0.4, 0.3, 0.3]])
    daring = np.array([[0.3, 0.4, 0.3], [0.3, 0.4, 0.3], [0.5, 0.3, 0.2]])
    return ConstrainedMDP(
        transition=np.stack([careful, daring], axis=1),
        rewards=np.array([[0.0, 1.0], [0.0, 0.6], [0.0, -0.5]]),
        costs=np.array([[0.0, 0.2], [0.0, 1.0], [0.0, 1.0]]),
        start=np.full(3, 1 / 3),
        gamma=0.9,
        cost_limit=cost_limit,
    )


def episode_limit(discounted: float, gamma: float, horizon_steps: int) -> float:
    """The cost per episode of which methods make that limit of the discounted costs."""
    return discounted / discounted_limit(1.0, gamma, horizon_steps)


def learned(method: str, data: Transitions, problem: Problem, **changes: Any) -> tuple[Any, Any]:
    """A baseline trained by the project's own loop: its configuration, and what it learned.

    Args:
        method: its name.
        data: the dataset.
        problem: what else it may know.
        changes: parameters of training other than params.yaml's.
    """
    module = method_module(method)
    config = configured(method, "train", module.Config, **changes)
    return config, module.train(config, problem, data, partial(fit, config=config, name=method))


def stored(
    method: str,
    data: Transitions,
    config: Any,
    result: Trained,
    folder: Path,
    acting: Mapping[str, Any] | None = None,
) -> Agent:
    """What was learned, read back from the folder that it is stored in.

    Args:
        method: its name.
        data: the dataset.
        config: its parameters of training.
        result: what it learned.
        folder: an empty one, for the policy.
        acting: acting parameters other than params.yaml's.
    """
    save(folder, method, config, data, result)
    schema = method_module(method).Acting
    return load_agent(folder, dataclasses.asdict(configured(method, "act", schema, **acting or {})))


def trained(
    method: str,
    data: Transitions,
    problem: Problem,
    folder: Path,
    acting: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Agent:
    """A baseline trained by `learned`, and read back by `stored`."""
    return stored(method, data, *learned(method, data, problem, **changes), folder, acting)


def daring_share(agent: Agent, states: int, draws: int = 64, seed: int = 0) -> np.ndarray:
    """The share of daring actions in each state `[s]`, over draws of one seed's policy."""
    policy = Policy(agent, seed)
    observations = np.repeat(np.eye(states, dtype=np.float32), draws, axis=0)
    actions = np.asarray(policy.act(observations, jax.random.key(0)))
    return (actions[:, 0] > 0).reshape(states, draws).mean(axis=1)
