"""TREBI, trained on two kinds of episodes: plans follow the kind that the budget allows."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from constrained_mdp import trained

from fisor.agents import ACTING, TRAINED, Policy, Step, load_policy, write_acting
from fisor.baselines.baseline import Problem
from fisor.baselines.limits import discounted_limit
from fisor.data.transitions import Transitions

pytestmark = pytest.mark.slow  # compiling the guided sampler takes most of it

EPISODES, EPISODE_STEPS, COST_LIMIT, GAMMA = 64, 8, 4.0, 0.95
SMALL = {
    "training_steps": 400,
    "planner_updates": 1,
    "learning_rate": 3e-3,
    "batch_windows": 32,
    "gamma": GAMMA,
    "soft_update": 0.02,
    "plan_steps": 4,
    "T": 5,
    "channels": 8,
    "channel_multipliers": (1,),
    "log_every_updates": 100,
}
ACTS = {
    "cost_limit": None, "plans": 16, "guidance_steps": 2, "guidance_scale": 0.1, "cost_weight": 10.0
}  # fmt: skip


def two_kinds() -> tuple[Transitions, Problem]:
    """Episodes of a point that moves by its action, all from near 0.

    Half of them go left, for nothing. The others go right, and each step earns 1 and costs 1.
    """
    draw = np.random.default_rng(0)
    daring = np.arange(EPISODES) % 2
    actions = draw.uniform(0.3, 0.7, (EPISODES, EPISODE_STEPS)) * (2 * daring - 1)[:, None]
    starts = draw.normal(0, 0.1, (EPISODES, 1))
    position = np.concatenate([starts, actions], axis=1).cumsum(axis=1).astype(np.float32)
    pays = np.repeat(daring, EPISODE_STEPS).astype(np.float32)
    data = Transitions(
        observations=position[:, :-1].reshape(-1, 1),
        actions=actions.reshape(-1, 1).astype(np.float32),
        next_observations=position[:, 1:].reshape(-1, 1),
        rewards=pays,
        costs=pays,
        violations=None,
        terminals=np.zeros(pays.size, bool),
    )
    problem = Problem(
        horizon_steps=EPISODE_STEPS,
        cost_limit=COST_LIMIT,
        episode=np.repeat(np.arange(EPISODES), EPISODE_STEPS),
        step=np.tile(np.arange(EPISODE_STEPS), EPISODES),
    )
    return data, problem


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy's folder, of two seeds."""
    made = tmp_path_factory.mktemp("policy")
    (made / TRAINED).mkdir()
    trained("TREBI", *two_kinds(), made / TRAINED, ACTS, seeds=2, **SMALL)
    write_acting(made / ACTING, ACTS)
    return made


@pytest.fixture(scope="module")
def policy(folder: Path) -> Policy:
    return load_policy(folder, seed=1)


def step_at(observations: Any, costs: Any, times: Any) -> Step:
    each = [jnp.asarray(x, jnp.float32) for x in (observations, np.zeros(len(costs)), costs)]
    return Step(*each, jnp.asarray(times, jnp.int32))


def test_plans_follow_the_kind_that_the_budget_allows(policy: Policy) -> None:
    """With nothing left of the budget the point goes left, with plenty right; as all data does.

    All is one call at a second step: half of the episodes spent the whole budget in the first.
    """
    memory = jnp.concatenate([jnp.ones(16), jnp.full(16, 50.0)])
    step = step_at(np.zeros((32, 1)), np.ones(32), np.ones(32))
    actions, left = policy.step(memory, step, jax.random.key(0))
    assert actions.shape == (32, 1)
    assert (np.abs(actions) <= 1).all()
    assert (actions[:16] < 0).mean() >= 0.9
    assert (actions[16:] > 0).mean() >= 0.9
    assert left.tolist() == pytest.approx([0.0] * 16 + [49 / GAMMA] * 16, abs=1e-4)


def test_memory_begins_with_the_tasks_budget(policy: Policy) -> None:
    """At an episode's first step, whatever was remembered; after it the cost is subtracted."""
    budget = discounted_limit(COST_LIMIT, GAMMA, EPISODE_STEPS)
    assert policy.initial_memory(3).tolist() == pytest.approx([budget] * 3)
    memory = jnp.concatenate([policy.initial_memory(16), jnp.full(16, -7.0)])
    step = step_at(np.zeros((32, 1)), np.zeros(32), np.zeros(32))
    _, left = policy.step(memory, step, jax.random.key(0))
    assert left.tolist() == pytest.approx([budget] * 32)
    _, left = policy.step(
        left, step_at(np.zeros((32, 1)), np.ones(32), np.ones(32)), jax.random.key(1)
    )
    assert left.tolist() == pytest.approx([(budget - 1) / GAMMA] * 32)


def test_the_limit_is_the_tasks_or_its_own(folder: Path) -> None:
    """`cost_limit` of acting replaces what training stored, without training again."""
    budget = load_policy(folder, cost_limit=6.0).initial_memory(1)
    assert budget.tolist() == pytest.approx([discounted_limit(6.0, GAMMA, EPISODE_STEPS)])


def test_seeds_are_the_same_among_more(folder: Path, tmp_path: Path) -> None:
    """Two of two and two of three, to the last bit, all that acts.

    One seed alone is multiplied by other code of XLA's, so it differs in last bits, as in all
    training here.
    """
    two = load_policy(folder)._agent.params
    three = trained("TREBI", *two_kinds(), tmp_path, ACTS, seeds=3, **SMALL).params
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:2]), two, three)
    planner = jax.tree.leaves(three["planner"])
    assert all((leaf[0] != leaf[1]).any() for leaf in planner)
