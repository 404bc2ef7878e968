"""The best of the episodes: returns, advantages, shares and weights, by hand."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from drawn_critics import of_seed, unlike_critics
from oracles import mlp, twins

from fisor.config.params import Params
from fisor.critics.trained import TrainedCritic
from fisor.data.transitions import Transitions
from fisor.policies import weights
from fisor.policies.episodes import best, episode_advantages, returns_to_go

SEEDS, ROWS, SCALE = 2, 300, 2.0
EPISODE = np.repeat([0, 1, 2], 100)


@pytest.fixture(scope="module")
def params(small_params: Callable[..., Params]) -> Params:
    return small_params(seeds=SEEDS, hidden_units=16, T=3, policy_weights="best_of_episodes")


@pytest.fixture(scope="module")
def data(random_transitions: Callable[..., Transitions]) -> Transitions:
    """Three episodes of a hundred rows: the first two end, the last one is cut."""
    return random_transitions(ROWS)._replace(terminals=np.isin(np.arange(ROWS), [99, 199]))


@pytest.fixture(scope="module")
def both_critics(
    tmp_path_factory: pytest.TempPathFactory, params: Params, data: Transitions
) -> tuple[TrainedCritic, TrainedCritic]:
    """A feasibility critic, and a reward critic with the scale of its rewards."""
    feasibility, reward = unlike_critics(tmp_path_factory.mktemp("critics"), params, data)
    return feasibility, reward._replace(config=reward.config | {"reward_scale": SCALE})


def test_returns_to_go() -> None:
    """By hand, with a discount of 1/2: an episode that ends, one that is cut, one of a row.

    First: 4, then 2 + 4/2, then 1 + 4/2. Second: its last row has 8 + 6/2 for V(s') = 6; before it
    0 + 11/2. The values of all other rows are not read.
    """
    rewards = np.array([1, 2, 4, 0, 8, 5], np.float32)
    next_values = np.array([np.nan, np.nan, np.nan, np.nan, 6, np.nan], np.float32)
    terminals = np.array([False, False, True, False, False, True])
    last = np.array([False, False, True, False, True, True])
    found = returns_to_go(rewards, next_values, terminals, last, 0.5)
    np.testing.assert_allclose(found, [3, 4, 4, 5.5, 11, 5])


def test_best_rows() -> None:
    """The upper half of the rows that count, ties included; the others never."""
    advantages = np.array([5.0, 1.0, 2.0, 9.0, 3.0, 4.0])
    rows = np.array([True, True, True, False, True, False])
    assert best(advantages, rows, 0.5).tolist() == [True, False, False, False, True, False]
    assert best(advantages, rows, 1).tolist() == rows.tolist()
    assert best(np.zeros(6), rows, 0.5).tolist() == rows.tolist()
    assert not best(advantages, np.zeros(6, bool), 0.5).any()


def test_weights_of_the_best_are_one(
    params: Params, data: Transitions, both_critics: tuple[TrainedCritic, TrainedCritic]
) -> None:
    """Each seed by its own critics; infeasible rows have Eq. 13's weights, as without it.

    Oracle: the networks in NumPy, returns by a loop from the back.
    """
    s, a = data.observations, data.actions
    weighed = weights.data_weights(params, data, EPISODE, *both_critics)
    plain = dataclasses.replace(params, policy_weights="fisor")
    by_equation_13 = weights.data_weights(plain, data, EPISODE, *both_critics)
    for seed in range(SEEDS):
        q_h_params, v_h_params, _, v_r_params = (
            of_seed(tree, seed) for critic in both_critics for tree in (critic.q, critic.v)
        )
        v_h, q_h = mlp(v_h_params, s), twins(q_h_params, s, a).max(0)
        advantages, rest = np.zeros(ROWS), float(mlp(v_r_params, data.next_observations)[-1])
        for row in reversed(range(ROWS)):
            rest = SCALE * data.rewards[row] + params.gamma * (0 if data.terminals[row] else rest)
            advantages[row] = rest - mlp(v_r_params, s)[row]
        kept = np.flatnonzero((v_h <= 0) & (q_h <= 0))
        assert kept.size >= 4
        expected = np.where(v_h <= 0, 0.0, by_equation_13[seed])
        expected[kept[advantages[kept] >= np.median(advantages[kept])]] = 1
        np.testing.assert_allclose(weighed[seed], expected, rtol=1e-6)
        assert set(weighed[seed][v_h <= 0]) == {0, 1}


def test_a_lucky_end_does_not_reach_the_episode_before(
    data: Transitions, both_critics: tuple[TrainedCritic, TrainedCritic]
) -> None:
    """A reward in the second episode changes the advantages of its own rows up to it, alone."""
    reward = both_critics[1]
    values = reward.values(data.observations)
    rewards = data.rewards.copy()
    rewards[105] += 1
    before, after = (
        episode_advantages(values, data._replace(rewards=r), EPISODE, reward, 0.5)
        for r in (data.rewards, rewards)
    )
    changed = after - before
    np.testing.assert_allclose(
        changed[:, 100:106], np.tile(SCALE * 0.5 ** np.arange(5, -1, -1.0), (SEEDS, 1)), rtol=1e-4
    )
    assert (changed[:, :100] == 0).all()
    assert (changed[:, 106:] == 0).all()
