"""The weights of the data: Eq. 13 and its variants."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from drawn_critics import of_seed, unlike_critics
from oracles import mlp, twins

from fisor.config.params import Params
from fisor.critics.trained import TrainedCritic
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.policies import weights

SEEDS, ROWS = 2, 30
EPISODE = np.repeat([0, 1, 2], 10)


@pytest.fixture(scope="module")
def params(small_params: Callable[..., Params]) -> Params:
    return small_params(seeds=SEEDS, hidden_units=16, T=3)


@pytest.fixture(scope="module")
def data(random_transitions: Callable[..., Transitions]) -> Transitions:
    return random_transitions(ROWS)


@pytest.fixture(scope="module")
def both_critics(
    tmp_path_factory: pytest.TempPathFactory, params: Params, data: Transitions
) -> tuple[TrainedCritic, TrainedCritic]:
    """A feasibility and a reward critic."""
    return unlike_critics(tmp_path_factory.mktemp("critics"), params, data)


@pytest.fixture(scope="module")
def weighed(
    params: Params, data: Transitions, both_critics: tuple[TrainedCritic, TrainedCritic]
) -> np.ndarray:
    return np.asarray(weights.data_weights(params, data, EPISODE, *both_critics))


def raised(tree: Any, by: np.ndarray) -> Any:
    """Parameters of Q or V whose values are `[seeds]` higher: in their last bias."""

    def added(path: tuple[Any, ...], leaf: np.ndarray) -> np.ndarray:
        last = jax.tree_util.keystr(path).endswith("['Dense_2']['bias']")
        by_seed = by.astype(np.float32).reshape(-1, *[1] * (leaf.ndim - 1))
        return leaf + by_seed if last else leaf

    return jax.tree_util.tree_map_with_path(added, tree)


@pytest.mark.parametrize("kind", ["fisor", "feasible_only", "unconstrained", "imitation"])
def test_data_weights_are_equation_13_row_by_row(
    params: Params,
    data: Transitions,
    both_critics: tuple[TrainedCritic, TrainedCritic],
    kind: str,
) -> None:
    """Every seed weighs with its own critics: the larger Q_h, the smaller Q_r.

    Oracle: the four networks in NumPy, Eq. 13 and its variants (Table 3's without the infeasible
    part, Figure 3's without a constraint, D.6's w_IL) with `math.exp` for one row after the other.
    """
    s, a = data.observations, data.actions
    weighed = weights.data_weights(
        dataclasses.replace(params, policy_weights=kind), data, EPISODE, *both_critics
    )
    assert weighed.shape == (SEEDS, ROWS)
    cases = set()
    for seed in range(SEEDS):
        q_h_params, v_h_params, q_r_params, v_r_params = (
            of_seed(tree, seed) for critic in both_critics for tree in (critic.q, critic.v)
        )
        q_h, q_r = twins(q_h_params, s, a).max(0), twins(q_r_params, s, a).min(0)
        v_h, v_r = mlp(v_h_params, s), mlp(v_r_params, s)
        for row in range(ROWS):
            by_reward = min(math.exp(3 * (q_r[row] - v_r[row])), 100.0)
            if v_h[row] > 0:
                by_safety, case = math.exp(-5 * (q_h[row] - v_h[row])), "infeasible"
                expected = {"feasible_only": 0.0, "unconstrained": by_reward}.get(
                    kind, min(by_safety, 150.0)
                )
            elif q_h[row] > 0:
                expected, case = by_reward if kind == "unconstrained" else 0.0, "leads out"
            else:
                expected, case = 1.0 if kind == "imitation" else by_reward, "feasible"
            assert weighed[seed, row] == pytest.approx(expected, rel=1e-4)
            cases.add(case)
    assert cases == {"infeasible", "leads out", "feasible"}
    assert (params.feasible_temperature, params.infeasible_temperature) == (3, 5)


def test_weights_that_are_all_zero_are_refused(
    params: Params, data: Transitions, both_critics: tuple[TrainedCritic, TrainedCritic]
) -> None:
    """A seed that calls nothing feasible leaves `feasible_only` no row: said, with its number.

    The second seed's V_h is raised by 100 in its last bias, so that it is positive everywhere.
    """
    feasibility, reward = both_critics
    v = raised(feasibility.v, np.array([0.0, 100.0]))
    only = dataclasses.replace(params, policy_weights="feasible_only")
    with pytest.raises(InputError, match=r"policy_weights: feasible_only .* weight 0 for seed 1"):
        weights.data_weights(only, data, EPISODE, feasibility._replace(v=v), reward)


@pytest.mark.parametrize("block", [1, 7, ROWS])
def test_data_weights_do_not_depend_on_the_block(
    monkeypatch: pytest.MonkeyPatch,
    params: Params,
    data: Transitions,
    both_critics: tuple[TrainedCritic, TrainedCritic],
    weighed: np.ndarray,
    block: int,
) -> None:
    """Blocks of 1, 7 (the last one shorter) and all rows give the same weights.

    The tolerance is for matrix products of other shapes.
    """
    monkeypatch.setattr(weights, "ROWS_AT_ONCE", block)
    by_blocks = weights.data_weights(params, data, EPISODE, *both_critics)
    np.testing.assert_allclose(by_blocks, weighed, rtol=1e-4)


# Not in the paper ---------------------------------------------------------------------------------


def times(critic: TrainedCritic, factor: float) -> TrainedCritic:
    """A critic whose Q and V are multiplied by a factor: in their last layers."""

    def scaled(path: tuple[Any, ...], leaf: np.ndarray) -> np.ndarray:
        return leaf * np.float32(factor) if "Dense_2" in jax.tree_util.keystr(path) else leaf

    q, v = (jax.tree_util.tree_map_with_path(scaled, tree) for tree in (critic.q, critic.v))
    return critic._replace(q=q, v=v)


def in_numpy(
    critics: tuple[TrainedCritic, TrainedCritic], data: Transitions, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One seed's A_r, Q_h and V_h of every row."""
    s, a = data.observations, data.actions
    q_h, v_h, q_r, v_r = (
        of_seed(tree, seed) for critic in critics for tree in (critic.q, critic.v)
    )
    return twins(q_r, s, a).min(0) - mlp(v_r, s), twins(q_h, s, a).max(0), mlp(v_h, s)


@pytest.fixture(scope="module")
def split_critics(
    both_critics: tuple[TrainedCritic, TrainedCritic], data: Transitions
) -> tuple[TrainedCritic, TrainedCritic]:
    """The same with Q_h and V_h less their medians: half of the rows are feasible to each seed."""
    feasibility, reward = both_critics
    found = [in_numpy(both_critics, data, seed)[1:] for seed in range(SEEDS)]
    q_h, v_h = -np.median(np.asarray(found), axis=-1).T
    moved = feasibility._replace(q=raised(feasibility.q, q_h), v=raised(feasibility.v, v_h))
    return moved, reward


def test_standard_deviations_by_hand() -> None:
    """Over the rows that count: 2 and 6 deviate by 2. It is 1 where all are equal or none counts.

    The rows that do not count, of 100, would show.
    """
    values = np.array([[2, 100, 6], [5, 5, 100], [1, 2, 3]], np.float32)
    rows = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 0]], bool)
    np.testing.assert_array_equal(weights.deviations(values, rows), [2, 1, 1])


def test_normalised_advantages_are_in_standard_deviations(
    params: Params, data: Transitions, split_critics: tuple[TrainedCritic, TrainedCritic]
) -> None:
    """The weights are Eq. 13's with each seed's temperatures divided by its two deviations.

    Oracle: the four networks, the deviations and Eq. 13 in NumPy, float64.
    """
    normalised = dataclasses.replace(params, normalise_advantages=True)
    weighed = weights.data_weights(normalised, data, EPISODE, *split_critics)
    for seed in range(SEEDS):
        a_r, q_h, v_h = in_numpy(split_critics, data, seed)
        kept, infeasible = (v_h <= 0) & (q_h <= 0), v_h > 0
        assert min(kept.sum(), infeasible.sum()) > 2
        by_reward = np.minimum(np.exp(3 * a_r / a_r[kept].std()), 100)
        by_safety = np.minimum(np.exp(-5 * (q_h - v_h) / (q_h - v_h)[infeasible].std()), 150)
        expected = np.select([kept, infeasible], [by_reward, by_safety], 0.0)
        np.testing.assert_allclose(weighed[seed], expected, rtol=1e-3)


@pytest.mark.parametrize("kind", ["fisor", "feasible_only", "unconstrained", "imitation"])
def test_normalised_advantages_do_not_depend_on_units(
    params: Params,
    data: Transitions,
    split_critics: tuple[TrainedCritic, TrainedCritic],
    kind: str,
) -> None:
    """Rewards of ten times the size and h in hundredths leave the weights; else they change."""
    feasibility, reward = split_critics
    others = times(feasibility, 0.01), times(reward, 10)
    plain = dataclasses.replace(params, policy_weights=kind)
    normalised = dataclasses.replace(plain, normalise_advantages=True)
    before, after = (
        weights.data_weights(normalised, data, EPISODE, *c) for c in (split_critics, others)
    )
    np.testing.assert_allclose(after, before, rtol=1e-3)
    before, after = (
        weights.data_weights(plain, data, EPISODE, *c) for c in (split_critics, others)
    )
    assert np.abs(after / np.maximum(before, 1e-30) - 1).max() > 0.1


def test_balanced_weights_by_hand() -> None:
    """Weights 1, 0, 5 (feasible) and 8, 4 (not) by their means 2 and 6; a region of zeros stays."""
    given, feasible = np.array([1, 8, 0, 4, 5], np.float32), np.array([1, 0, 1, 0, 1], bool)
    balanced = weights.balanced(given, feasible)
    np.testing.assert_allclose(balanced, [0.5, 8 / 6, 0, 4 / 6, 2.5], rtol=1e-6)
    assert balanced.dtype == np.float32
    only = np.array([1, 0, 0, 0, 5], np.float32)
    np.testing.assert_allclose(weights.balanced(only, feasible), [0.5, 0, 0, 0, 2.5], rtol=1e-6)
    everywhere = np.ones(5, bool)
    np.testing.assert_allclose(weights.balanced(given, everywhere), given / 3.6, rtol=1e-6)


def test_balanced_regions_have_mean_weights_of_one(
    params: Params,
    data: Transitions,
    split_critics: tuple[TrainedCritic, TrainedCritic],
) -> None:
    """In both regions of each seed the mean is 1, and weights keep their ratios to each other."""
    weighed, balanced = (
        weights.data_weights(
            dataclasses.replace(params, balance_regions=balance), data, EPISODE, *split_critics
        )
        for balance in (False, True)
    )
    for seed in range(SEEDS):
        feasible = in_numpy(split_critics, data, seed)[2] <= 0
        factors = []
        for region in (feasible, ~feasible):
            assert balanced[seed, region].mean() == pytest.approx(1, rel=1e-5)
            own, others = weighed[seed, region], balanced[seed, region]
            factors.append((others[own > 0] / own[own > 0]).mean())
            np.testing.assert_allclose(others, own * factors[-1], rtol=1e-5)
        assert factors[0] != pytest.approx(factors[1], rel=0.1)
