"""The weights of the data: Eq. 13 and its variants."""

import dataclasses
import math
from collections.abc import Callable

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
    return np.asarray(weights.data_weights(params, data, *both_critics))


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
        dataclasses.replace(params, policy_weights=kind), data, *both_critics
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
    last = feasibility.v["params"]["Dense_2"]
    raised = {**last, "bias": np.asarray(last["bias"]) + np.array([[0.0], [100.0]], np.float32)}
    v = {"params": {**feasibility.v["params"], "Dense_2": raised}}
    only = dataclasses.replace(params, policy_weights="feasible_only")
    with pytest.raises(InputError, match=r"policy_weights: feasible_only .* weight 0 for seed 1"):
        weights.data_weights(only, data, feasibility._replace(v=v), reward)


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
    by_blocks = weights.data_weights(params, data, *both_critics)
    np.testing.assert_allclose(by_blocks, weighed, rtol=1e-4)
