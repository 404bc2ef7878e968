"""Saute-TD3BC: the budget in data and in memory, its update, and what it learns."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from constrained_mdp import ConstrainedMDP, crossroads, trained
from one_baseline import action, acts, captured

from fisor.agents import Agent, Policy, Step
from fisor.baselines.baseline import Problem
from fisor.baselines.limits import discounted_limit
from fisor.baselines.saute_td3bc import Budget, agent, budgets, reshaped
from fisor.errors import InputError

LIMIT = 2.5  # cost per episode of the learning test: two daring steps that cost 1
USED_UP = 3


# The budget --------------------------------------------------------------------------------------

COSTS = np.array([0.0, 1.0, 0.5, 0.0, 3.0, 0.0, 2.0, 0.0], np.float32)
TWO_EPISODES = Problem(
    horizon_steps=5,
    cost_limit=2.0,
    episode=np.array([0, 0, 0, 0, 1, 1, 1, 1]),
    step=np.array([0, 1, 2, 3, 0, 1, 2, 3]),
)


def test_the_budget_of_two_episodes() -> None:
    """Z' = (z - c / 2) / 0.5 by hand, cut at -1; it starts anew with the second episode."""
    before, after = budgets(Budget(2.0, 0.5), TWO_EPISODES, COSTS)
    np.testing.assert_allclose(before, [1, 2, 3, 5.5, 1, -1, -1, -1], rtol=1e-6)
    np.testing.assert_allclose(after, [2, 3, 5.5, 11, -1, -1, -1, -1], rtol=1e-6)


def test_the_budget_without_a_discount() -> None:
    """1 - spent / 2, so that it is 0 where the limit is reached exactly; cut at -1."""
    costs = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5, 8.0], np.float32)
    before, after = budgets(Budget(2.0, 1.0), TWO_EPISODES, costs)
    np.testing.assert_array_equal(before, [1, 1, 0.5, 0, 1, 1, 0.5, 0.25])
    np.testing.assert_array_equal(after, [1, 0.5, 0, 0, 1, 0.5, 0.25, -1])


def test_a_limit_of_0_is_used_up_by_the_first_cost() -> None:
    """Nothing is divided by 0, and z stays 1 until a cost comes."""
    before, after = budgets(Budget(0.0, 1.0), TWO_EPISODES, COSTS)
    np.testing.assert_array_equal(before, [1, 1, -1, -1, 1, -1, -1, -1])
    np.testing.assert_array_equal(after, [1, -1, -1, -1, -1, -1, -1, -1])


def test_the_limit_of_discounted_costs() -> None:
    """L (1 - gamma^T) / ((1 - gamma) T) as in Saute RL's code, and l itself without a discount."""
    assert Budget.of(5.0, 1.0, 200) == (5.0, 1.0)
    assert Budget.of(5.0, 0.99, 200) == (discounted_limit(5.0, 0.99, 200), 0.99)


def test_the_reward_where_the_budget_is_used_up() -> None:
    """At 0, too."""
    seen = reshaped(jnp.asarray([3.0, 3.0, 3.0]), jnp.asarray([0.1, 0.0, -1.0]), -10.0)
    np.testing.assert_array_equal(seen, [3.0, -10.0, -10.0])


# Its update --------------------------------------------------------------------------------------


def test_first_update_against_numpy() -> None:
    """Both losses by the networks in float64, on states with z as a last entry.

    The target is 0.1 r~ + gamma min_i Q'(s', pi'(s')), and 0.1 r~ at an end, where r~ is -10 once
    the limit of 1.5 is used up. The method's own limit wins over the task's.
    """
    rows, problem = crossroads(1.0).dataset(2, 4)
    rows = rows._replace(terminals=np.arange(8) % 3 == 0)
    of_task = problem(cost_limit=100.0)
    changes = {"gamma": 0.9, "hidden_units": 4, "target_noise": 0.0, "policy_delay": 1}
    state, update, batch = captured("Saute-TD3BC", rows, of_task, cost_limit=1.5, **changes)
    for seed, name in enumerate(("actor", "critic")):
        tracked = getattr(state, name)
        target = oracles.drawn_params(lambda key, like=tracked.target: like, seed)
        state = state._replace(**{name: tracked._replace(target=target)})
    after, metrics = update(state, batch, jax.random.key(1))

    spent = rows.costs.astype(np.float64).reshape(2, 4).cumsum(axis=1)
    z_after = np.maximum(1 - spent / 1.5, -1)
    z = np.concatenate([np.ones((2, 1)), z_after[:, :-1]], axis=1)
    assert (z_after <= 0).any()
    assert (z_after > 0).any()
    here = np.concatenate([rows.observations, z.reshape(-1, 1)], axis=1)
    there = np.concatenate([rows.next_observations, z_after.reshape(-1, 1)], axis=1)
    next_q = oracles.twins(state.critic.target, there, action(state.actor.target, there))
    rewards = np.where(z_after.ravel() > 0, rows.rewards, -10)
    target = 0.1 * rewards + np.where(rows.terminals, 0, 0.9 * next_q.min(axis=0))
    values = oracles.twins(state.critic.params, here, rows.actions)
    assert float(metrics["q_loss"]) == pytest.approx(np.square(values - target).mean(), rel=1e-4)

    actions = action(state.actor.params, here)
    q = oracles.twins(after.critic.params, here, actions)[0]
    expected = (np.square(actions - rows.actions)[:, 0] - 2.5 / np.abs(q).mean() * q).mean()
    assert float(metrics["policy_loss"]) == pytest.approx(expected, rel=1e-4)


# What it learns ----------------------------------------------------------------------------------


def crossing() -> ConstrainedMDP:
    """Daring earns 4 for a cost of 1 in the first state, 0.3 for 1 in the second, 1 in the third.

    So within a limit of 2.5 per episode, the best policy dares twice in the first state, never in
    the second, and always in the third.
    """
    return crossroads(LIMIT)._replace(
        rewards=np.array([[0.0, 4.0], [0.0, 0.3], [0.0, 1.0]]),
        costs=np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]]),
    )


def value(process: ConstrainedMDP, unsafe_reward: float, daring: np.ndarray | None = None) -> float:
    """The discounted reshaped reward from the start on, by value iteration over (state, spent).

    Args:
        process: the process; costs are 0 or 1.
        unsafe_reward: once more than two are spent.
        daring: `[s, spent]` bool, a policy; None for the best one.
    """
    states = len(process.start)
    v = np.zeros((states, USED_UP + 1))
    for _ in range(300):
        q = np.zeros((*v.shape, 2))
        for state, spent, dares in np.ndindex(q.shape):
            then = min(spent + int(process.costs[state, dares]), USED_UP)
            reward = process.rewards[state, dares] if then < USED_UP else unsafe_reward
            q[state, spent, dares] = (
                reward + process.gamma * process.transition[state, dares] @ v[:, then]
            )
        v = q.max(axis=-1) if daring is None else np.where(daring, q[..., 1], q[..., 0])
    return float(process.start @ v[:, 0])


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Agent]:
    """A folder, and the agent in it, trained within the task's limit."""
    data, problem = crossing().dataset(400, 12)
    folder = tmp_path_factory.mktemp("saute")
    return folder, trained(
        "Saute-TD3BC",
        data,
        problem(cost_limit=LIMIT),
        folder,
        seeds=1,
        training_steps=1000,
        batch_size=64,
        hidden_units=32,
        learning_rate=5e-3,
        actor_learning_rate=3e-3,
        gamma=0.9,
        soft_update=0.05,
        reward_scale=1.0,
        unsafe_reward=-0.2,
    )


def episode(policy: Policy, process: ConstrainedMDP, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """One episode from each state in turn: what is spent before each step, and where it dares."""
    draw = np.random.default_rng(0)
    states = np.arange(len(process.start))
    memory, cost = policy.initial_memory(states.size), np.zeros(states.size, np.float32)
    spent, dared = np.zeros((2, steps, states.size))
    total = np.zeros(states.size)
    for time in range(steps):
        total += cost
        seen = Step(np.eye(states.size, dtype=np.float32)[states], cost, cost, np.full(3, time))
        actions, memory = policy.step(memory, seen, jax.random.key(time))
        np.testing.assert_array_equal(memory, total)
        dares = (np.asarray(actions)[:, 0] > 0).astype(int)
        spent[time], dared[time] = total, (states + 1) * dares
        cost = process.costs[states, dares].astype(np.float32)
        moves = process.transition[states, dares]
        states = np.array([draw.choice(moves.shape[1], p=move) for move in moves])
    return spent, dared


def test_saute_td3bc_dares_while_its_budget_lasts(learned: tuple[Path, Agent]) -> None:
    """Within 0.2 of the best value, which is exact; the limit holds in every episode.

    Costs are spent to the limit: no policy that goes by the state alone does so and keeps it.
    """
    process, policy = crossing(), Policy(learned[1], 0)
    spent = np.tile(np.arange(USED_UP + 1, dtype=np.float32), 3)
    none = np.zeros_like(spent)
    step = Step(np.repeat(np.eye(3, dtype=np.float32), 4, axis=0), none, none, np.ones(12, int))
    actions, _ = policy.step(jnp.asarray(spent), step, jax.random.key(0))
    daring = np.asarray(actions).reshape(3, 4) > 0
    assert value(process, -0.2, daring) == pytest.approx(value(process, -0.2), abs=0.2)
    total, _ = episode(policy, process, 60)
    assert total.max() < LIMIT
    assert total[-1].min() == 2


def test_memory_begins_anew_with_an_episode(learned: tuple[Path, Agent]) -> None:
    """At time 0 nothing is spent, whatever is remembered and seen of the episode before."""
    policy = Policy(learned[1], 0)
    memory = policy.initial_memory(3)
    np.testing.assert_array_equal(memory, np.zeros(3))
    stale = Step(
        np.eye(3, dtype=np.float32), np.ones(3), np.full(3, 7.0, np.float32), np.zeros(3, int)
    )
    actions, after = policy.step(memory + 9, stale, jax.random.key(0))
    np.testing.assert_array_equal(after, np.zeros(3))
    np.testing.assert_array_equal(actions, acts(policy))
    _, after = policy.step(after, stale._replace(time=np.ones(3, int)), jax.random.key(0))
    np.testing.assert_array_equal(after, np.full(3, 7.0))


def test_a_folder_without_a_limit_is_refused(learned: tuple[Path, Agent]) -> None:
    """The message names the file and the key."""
    folder, _ = learned
    config = {"seeds": 1, "observation_dim": 3, "limit": "5", "discount": 1.0}
    with pytest.raises(InputError, match=r"config\.json: `limit` must be a number >= 0, not '5'"):
        agent(folder, config, None)
