"""Behaviour cloning with a penalty on costs, fixed (BC-P) or adapted to a limit (BC-L)."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from constrained_mdp import ConstrainedMDP, crossroads, trained
from one_baseline import (
    Captured,
    a_seed_is_the_same_among_others_and_from_its_folder,
    action,
    acts,
    captured,
)

from fisor.agents import Policy
from fisor.baselines.baseline import Problem
from fisor.baselines.limits import discounted_limit
from fisor.baselines.penalised_bc import loss
from fisor.data.transitions import Transitions
from fisor.nn.optimiser import Learner

LOWEST_ACTION = -0.6
HORIZON_STEPS = 20


def graded(process: ConstrainedMDP, episodes: int) -> tuple[Transitions, Any]:
    """Episodes of actions a drawn evenly from [-0.6, 1], each daring with probability (1 + a) / 2.

    The cost is the mean over that draw. So cost values are linear in the action, and a policy's
    are known exactly: those of the shares (1 + a) / 2.
    """
    draw, states = np.random.default_rng(0), len(process.start)
    data, problem = process.dataset(episodes, HORIZON_STEPS)
    shape = episodes, HORIZON_STEPS
    actions = draw.uniform(LOWEST_ACTION, 1, shape)
    share = (1 + actions) / 2
    chosen = (draw.random(shape) < share).astype(int)
    visited = np.zeros((episodes, HORIZON_STEPS + 1), int)
    visited[:, 0] = draw.choice(states, episodes, p=process.start)
    for step in range(HORIZON_STEPS):
        odds = process.transition[visited[:, step], chosen[:, step]].cumsum(axis=1)
        drawn = (draw.random((episodes, 1)) > odds).sum(axis=1)
        visited[:, step + 1] = np.minimum(drawn, states - 1)
    here, one_hot = visited[:, :-1].ravel(), np.eye(states, dtype=np.float32)
    careful, daring = process.costs[here].T
    data = data._replace(
        observations=one_hot[here],
        actions=actions.reshape(-1, 1).astype(np.float32),
        next_observations=one_hot[visited[:, 1:].ravel()],
        costs=(careful + share.ravel() * (daring - careful)).astype(np.float32),
    )
    return data, problem


class Imitation:
    """The exact optimum of imitation with a penalty on `graded` data."""

    def __init__(self, process: ConstrainedMDP, data: Transitions) -> None:
        here = data.observations.argmax(axis=1)
        self.process = process
        self.visits = np.bincount(here) / here.size
        self.clone = np.array([data.actions[here == s].mean() for s in range(len(self.visits))])

    def cost_values(self, actions: np.ndarray) -> np.ndarray:
        """Q_c of a policy, `[s, careful or daring]`, by a linear system."""
        p, daring = self.process, (1 + actions) / 2
        chosen = np.stack([1 - daring, daring], axis=1)
        moves = np.einsum("sa,sat->st", chosen, p.transition)
        values = np.linalg.solve(
            np.eye(len(daring)) - p.gamma * moves, (chosen * p.costs).sum(axis=1)
        )
        return p.costs + p.gamma * p.transition @ values

    def cost(self, actions: np.ndarray) -> float:
        """The mean of Q_c(s, pi(s)) over the data's states."""
        careful, daring = self.cost_values(actions).T
        return float(self.visits @ (careful + (1 + actions) / 2 * (daring - careful)))

    def penalised(self, penalty: float) -> np.ndarray:
        """Actions `[s]` that minimise (pi - a)^2 + k Q_c, Q_c being their own.

        Q_c rises by half the difference between daring and careful for each unit of the action, so
        the minimum lies at the clone's action - k (Q_c(daring) - Q_c(careful)) / 4.
        """
        actions = self.clone
        for _ in range(200):
            careful, daring = self.cost_values(actions).T
            actions = np.clip(self.clone - penalty * (daring - careful) / 4, -1, 1)
        return actions

    def within(self, limit: float) -> np.ndarray:
        """The same with the least penalty whose cost is at most `limit`, by bisection."""
        low, high = 0.0, 20.0
        for _ in range(60):
            penalty = (low + high) / 2
            enough = self.cost(self.penalised(penalty)) <= limit
            low, high = (low, penalty) if enough else (penalty, high)
        return self.penalised(high)


@pytest.fixture(scope="module")
def data() -> tuple[Transitions, Any]:
    return graded(crossroads(1.0), 300)


@pytest.fixture(scope="module")
def imitation(data: tuple[Transitions, Any]) -> Imitation:
    return Imitation(crossroads(1.0), data[0])


def learned(
    method: str, data: Transitions, problem: Problem, folder: Path, **changes: Any
) -> np.ndarray:
    """The actions `[s]` of a small training."""
    agent = trained(
        method,
        data,
        problem,
        folder,
        **{
            "seeds": 1,
            "training_steps": 1000,
            "batch_size": 128,
            "hidden_units": 16,
            "learning_rate": 0.01,
            "actor_learning_rate": 0.01,
            "cosine_decay": True,
            "gamma": 0.9,
            "soft_update": 0.05,
            **changes,
        },
    )
    return acts(Policy(agent, 0))[:, 0].astype(np.float64)


def test_bc_p_is_the_penalised_clone(
    data: tuple[Transitions, Any], imitation: Imitation, tmp_path: Path
) -> None:
    """With k = 2, two of three states move from the daring to the careful side; to 0.1 exact."""
    exact = imitation.penalised(2.0)
    assert (imitation.clone > 0.1).all()
    assert np.sign(exact).tolist() == [1, -1, -1]
    actions = learned("BC-P", data[0], data[1](cost_limit=0.0), tmp_path, penalty=2.0)
    np.testing.assert_allclose(actions, exact, atol=0.1)


def test_bc_l_keeps_the_limit_at_the_least_distance(
    data: tuple[Transitions, Any], imitation: Imitation, tmp_path: Path
) -> None:
    """The task's limit, half of the clone's cost: within 0.2 of it, and near the exact actions.

    The gains are larger than the defaults, since the training is a hundred times shorter.
    """
    limit = 2.0
    assert imitation.cost(imitation.clone) > 4.0
    exact = imitation.within(limit)
    assert imitation.cost(exact) == pytest.approx(limit)
    actions = learned(
        "BC-L",
        data[0],
        data[1](cost_limit=limit / discounted_limit(1.0, 0.9, HORIZON_STEPS)),
        tmp_path,
        proportional_gain=1.0,
        integral_gain=0.01,
    )
    assert imitation.cost(actions) == pytest.approx(limit, abs=0.25)
    np.testing.assert_allclose(actions, exact, atol=0.2)


# The update --------------------------------------------------------------------------------------


def test_loss() -> None:
    """((0.5 - 0)^2 + (-0.2 - 0.2)^2) / 2 + 3 (0.7 - 0.2), by hand."""
    action, data_action = jnp.asarray([0.5, -0.2]), jnp.asarray([0.0, 0.2])
    value = loss(action, data_action, jnp.float32(0.7), jnp.float32(3.0), 0.2)
    assert float(value) == pytest.approx((0.25 + 0.16) / 2 + 1.5)


OWN_LIMIT = 1.5


@pytest.fixture(scope="module")
def bc_l() -> tuple[Transitions, Captured]:
    """Eight rows with ends among them, and BC-L with a limit of its own before its first update."""
    rows, problem = crossroads(1.0).dataset(2, 4)
    rows = rows._replace(terminals=np.arange(8) % 3 == 0)
    of_task = problem(cost_limit=100.0)
    return rows, captured("BC-L", rows, of_task, cost_limit=OWN_LIMIT, gamma=0.9, hidden_units=4)


def with_cost_values(state: Any, params: Any) -> Any:
    """The same state with other parameters of the cost value."""
    return state._replace(
        critic=state.critic._replace(learner=Learner(params, state.critic.learner.adam))
    )


def test_first_update_against_numpy(bc_l: tuple[Transitions, Captured]) -> None:
    """Both losses by the twins and the policy in float64.

    The cost value's target is c + gamma max(max_i Q_i'(s', pi'(s')), 0), and c at an end. The
    policy's loss is of the policy before the step and the cost value after it.
    """
    rows, (state, update, batch) = bc_l
    policy_target, critic_target, critic = (
        oracles.drawn_params(lambda key, like=like: like, seed)
        for seed, like in enumerate([state.actor.target, state.critic.target, state.critic.target])
    )
    state = with_cost_values(state, critic)
    state = state._replace(
        actor=state.actor._replace(target=policy_target),
        critic=state.critic._replace(target=critic_target),
    )
    after, metrics = update(state, batch, jax.random.key(1))

    there = rows.next_observations
    next_q = oracles.twins(critic_target, there, action(policy_target, there)).max(axis=0)
    target = rows.costs + np.where(rows.terminals, 0, 0.9 * np.maximum(next_q, 0))
    values = oracles.twins(critic, rows.observations, rows.actions)
    assert float(metrics["q_c_loss"]) == pytest.approx(np.square(values - target).mean(), rel=1e-4)

    actions = action(state.actor.params, rows.observations)
    q_c = oracles.twins(after.critic.params, rows.observations, actions).max(axis=0)
    error = q_c.mean() - discounted_limit(OWN_LIMIT, 0.9, 4)
    penalty = 0.104 * max(error, 0.0)  # PID's first step: (.1 + .003 + .001) e where e is above 0
    assert float(metrics["penalty"]) == pytest.approx(penalty, rel=1e-4)
    expected = np.square(actions - rows.actions).mean() + penalty * error
    assert float(metrics["policy_loss"]) == pytest.approx(expected, rel=1e-4)


def test_the_multiplier_rises_above_the_limit_and_falls_below(
    bc_l: tuple[Transitions, Captured],
) -> None:
    """Cost values held at 5, then at -5: errors e of 3.7 and -6.3 to the discounted limit of 1.3.

    So the integral is 3.7, 7.4, 11.1, 4.8 and then 0; the first step has the derivative's share.
    """
    _, (state, update, batch) = bc_l

    def held(value: float) -> Any:
        def constant(path: Any, leaf: jax.Array) -> jax.Array:
            names = [entry.key for entry in path]
            return jnp.full_like(leaf, value if names[-2:] == ["Dense_2", "bias"] else 0.0)

        params = jax.tree_util.tree_map_with_path(constant, state.critic.params)
        return with_cost_values(state, params)

    penalties = []
    for value in (5.0, 5.0, 5.0, -5.0, -5.0, -5.0):
        state, metrics = update(held(value), batch, jax.random.key(0))
        penalties.append(float(metrics["penalty"]))
    e = 5 - discounted_limit(OWN_LIMIT, 0.9, 4)
    rising = [0.1 * e + 0.003 * e + 0.001 * e, 0.1 * e + 0.006 * e, 0.1 * e + 0.009 * e]
    assert penalties == pytest.approx([*rising, 0.003 * (4 * e - 10), 0, 0], rel=0.01, abs=1e-4)


@pytest.mark.parametrize("method", ["BC-P", "BC-L"])
def test_a_seed_and_its_folder(method: str, tmp_path: Path) -> None:
    """A seed is the same alone as among others, and acts the same from its folder."""
    a_seed_is_the_same_among_others_and_from_its_folder(method, tmp_path)
