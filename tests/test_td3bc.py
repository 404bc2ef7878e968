"""The constrained variants of TD3+BC (Table 6): RC-TD3BC and Saute-TD3BC."""

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
    captured,
)

from fisor.agents import Policy
from fisor.baselines import rc_td3bc, td3bc
from fisor.data.transitions import Transitions

SMALL = {
    "seeds": 1,
    "training_steps": 1000,
    "batch_size": 64,
    "hidden_units": 16,
    "learning_rate": 5e-3,
    "actor_learning_rate": 5e-3,
    "gamma": 0.9,
    "soft_update": 0.05,
    "reward_scale": 1.0,
}


# Losses ------------------------------------------------------------------------------------------


def test_policy_losses() -> None:
    """((0.5 - 0)^2 + (-0.2 - 0.2)^2) / 2 - 3 Q_r, and + 2 Q_h of RC-TD3BC, by hand."""
    pi, a = jnp.asarray([0.5, -0.2]), jnp.asarray([0.0, 0.2])
    q_r, q_h, weight, multiplier = (jnp.float32(x) for x in (0.7, -0.5, 3.0, 2.0))
    assert float(td3bc.policy_loss(pi, a, q_r, weight)) == pytest.approx(0.205 - 2.1)
    constrained = rc_td3bc.policy_loss(pi, a, q_r, q_h, weight, multiplier)
    assert float(constrained) == pytest.approx(0.205 - 2.1 - 1.0)


def test_the_rewards_weight_is_alpha_over_the_mean_size() -> None:
    """2.5 / ((2 + 4 + 0) / 3); no gradient goes through it."""
    q = jnp.asarray([2.0, -4.0, 0.0])
    assert float(td3bc.reward_weight(q, 2.5)) == pytest.approx(1.25)
    slopes = jax.grad(lambda x: td3bc.reward_weight(x, 2.5))(q)
    np.testing.assert_array_equal(slopes, np.zeros(3))


def test_target_noise_is_cut_and_so_is_the_action() -> None:
    """0.9 + 0.2 x 1 is beyond 1; 0.2 x 4 is cut to 0.5; 0.2 x -1 is left."""
    seen = td3bc.smoothed(jnp.asarray([0.9, 0.0, 0.1]), jnp.asarray([1.0, 4.0, -1.0]), 0.2, 0.5)
    np.testing.assert_allclose(seen, [1.0, 0.5, -0.1], rtol=1e-6)


def test_the_multiplier_climbs_where_q_h_is_above_0_up_to_its_bound() -> None:
    """Its loss falls by Q_h for each unit; at the bound of 10 it only falls."""
    slope = jax.grad(rc_td3bc.multiplier_loss)
    assert float(rc_td3bc.multiplier_loss(jnp.float32(3.0), jnp.float32(2.0), 10.0)) == -6.0
    for multiplier, q_h, expected in [(3, 2, -2), (3, -1, 1), (10, 2, 0), (10, -1, 1)]:
        assert float(slope(jnp.float32(multiplier), jnp.float32(q_h), 10.0)) == expected


# RC-TD3BC's update -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rc() -> tuple[Transitions, Captured]:
    """Eight rows with ends among them, and RC-TD3BC before its first update, without noise."""
    rows, problem = crossroads(1.0).dataset(2, 4)
    rows = rows._replace(terminals=np.arange(8) % 3 == 0)
    changes = {"gamma": 0.9, "hidden_units": 4, "target_noise": 0.0}
    kept = captured("RC-TD3BC", rows, problem(cost_limit=0.0), M=7.0, **changes)
    drawn = {}
    for seed, name in enumerate(("actor", "q_r", "q_h")):
        tracked = getattr(kept.state, name)
        target = oracles.drawn_params(lambda key, like=tracked.target: like, seed)
        drawn[name] = tracked._replace(target=target)
    return rows, kept._replace(state=kept.state._replace(**drawn))


def test_first_update_of_rc_td3bc_against_numpy(rc: tuple[Transitions, Captured]) -> None:
    """The critics' losses and the policy's by the networks in float64.

    Targets, at pi'(s'): 0.1 r + gamma min_i Q_r'; (1 - gamma) h + gamma max(h, max_i Q_h') with h
    of 7 or -1; and 0.1 r and h at an end.
    """
    rows, (state, update, batch) = rc
    after, metrics = update(state, batch, jax.random.key(1))
    here, there, ends = rows.observations, rows.next_observations, rows.terminals
    next_actions = action(state.actor.target, there)
    q_r = oracles.twins(state.q_r.target, there, next_actions).min(axis=0)
    q_h = oracles.twins(state.q_h.target, there, next_actions).max(axis=0)
    h = np.where(rows.costs > 0, 7.0, -1.0)
    target_r = 0.1 * rows.rewards + np.where(ends, 0, 0.9 * q_r)
    target_h = np.where(ends, h, 0.1 * h + 0.9 * np.maximum(h, q_h))
    for name, before, target in (("q", state.q_r, target_r), ("q_h", state.q_h, target_h)):
        values = oracles.twins(before.params, here, rows.actions)
        expected = np.square(values - target).mean()
        assert float(metrics[f"{name}_loss"]) == pytest.approx(expected, rel=1e-4)

    actions = action(state.actor.params, here)
    q_r = oracles.twins(after.q_r.params, here, actions)[0]
    q_h = oracles.twins(after.q_h.params, here, actions).max(axis=0)
    multiplier = np.log1p(np.exp(oracles.mlp(state.multiplier.params, here)))
    distance = np.square(actions - rows.actions)[:, 0]
    expected = (distance - 2.5 / np.abs(q_r).mean() * q_r + multiplier * q_h).mean()
    assert float(metrics["policy_loss"]) == pytest.approx(expected, rel=1e-4)
    assert float(metrics["multiplier_mean"]) == pytest.approx(multiplier.mean(), rel=1e-4)


def test_the_policy_moves_at_every_second_update(rc: tuple[Transitions, Captured]) -> None:
    """With a delay of 2, and with it all targets and the multiplier; the critics always move."""

    def moved(before: Any, after: Any) -> bool:
        leaves = jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), before, after))
        return any(leaves)

    _, (state, update, batch) = rc
    for due in (False, True, False):
        before, (state, _) = state, update(state, batch, jax.random.key(0))
        assert moved(before.q_r.params, state.q_r.params)
        assert moved(before.q_h.params, state.q_h.params)
        delayed = [(s.actor, s.q_r.target, s.q_h.target, s.multiplier) for s in (before, state)]
        for old, new in zip(*delayed, strict=True):
            assert moved(old, new) == due


# What RC-TD3BC learns ----------------------------------------------------------------------------


def shortcut() -> ConstrainedMDP:
    """Daring earns 1 in the first state and costs nothing, in the second 2 and the way to a trap.

    In the fourth, the trap, a step costs 1 whatever is done. In the third, daring loses 1.
    """
    onwards = np.array([0.4, 0.3, 0.3, 0.0])
    daring = np.array([[0.3, 0.4, 0.3, 0.0], [0.0, 0.0, 0.0, 1.0], onwards, onwards])
    return ConstrainedMDP(
        transition=np.stack([np.tile(onwards, (4, 1)), daring], axis=1),
        rewards=np.array([[0.0, 1.0], [0.0, 2.0], [0.0, -1.0], [0.0, 0.0]]),
        costs=np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]),
        start=np.array([1.0, 1.0, 1.0, 0.0]) / 3,
        gamma=0.9,
        cost_limit=0.0,
    )


def signs(policy: Policy, states: int) -> np.ndarray:
    """Which actions dare, `[s]`, of a policy without memory."""
    actions = policy.act(np.eye(states, dtype=np.float32), jax.random.key(0))
    return (np.asarray(actions)[:, 0] > 0).astype(float)


@pytest.mark.parametrize(
    ("largest_multiplier", "limit"),
    [(10.0, 0.0), pytest.param(1e-6, np.inf, marks=pytest.mark.slow)],
)
def test_rc_td3bc_never_violates_where_it_need_not(
    largest_multiplier: float, limit: float, tmp_path: Path
) -> None:
    """It has the best reward of all policies without cost, which leaves the trap alone.

    The oracle: the exact values of all deterministic policies, of which one is best under a
    constraint that holds in every state. Without a multiplier the same training dares into the
    trap, as the best policy without a constraint does.
    """
    process = shortcut()
    data, problem = process.dataset(150, 20)
    best_reward, _ = max(
        (reward, cost)
        for reward, cost in (process.values(np.array([*bits, 0.0])) for bits in np.ndindex(2, 2, 2))
        if cost <= limit
    )
    agent = trained(
        "RC-TD3BC",
        data,
        problem(cost_limit=5.0),
        tmp_path,
        multiplier_learning_rate=1e-3,
        largest_multiplier=largest_multiplier,
        **SMALL,
    )
    reward, cost = process.values(signs(Policy(agent, 0), 4))
    assert reward == pytest.approx(best_reward, abs=0.05)
    assert (cost == 0) == (limit == 0)


@pytest.mark.parametrize("method", ["RC-TD3BC", "Saute-TD3BC"])
def test_a_seed_and_its_folder(method: str, tmp_path: Path) -> None:
    """A seed is the same alone as among others, and acts the same from its folder."""
    a_seed_is_the_same_among_others_and_from_its_folder(method, tmp_path)
