"""What loading a policy refuses, and what its message says."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest
from drawn_critics import unlike_critic, unlike_critics
from saved_policies import BY_EIGHT, SEEDS, saved_policy, score_networks

from fisor.agents import ACTING, TRAINED, load_policy
from fisor.config.params import Params
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn import checkpoint

ROWS = 3


@pytest.fixture(scope="module")
def params(small_params: Callable[..., Params]) -> Params:
    return small_params(seeds=SEEDS, hidden_units=16, T=3)


@pytest.fixture(scope="module")
def data(random_transitions: Callable[..., Transitions]) -> Transitions:
    return random_transitions(ROWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, params: Params, data: Transitions) -> Path:
    """A saved policy of two seeds."""
    states = score_networks(params, data)
    critics = unlike_critics(tmp_path_factory.mktemp("critics"), params, data)
    return saved_policy(tmp_path_factory.mktemp("policy"), params, data, states, critics)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """The same in a folder of its own, to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "policy"))


@pytest.mark.parametrize("seed", [-1, SEEDS])
def test_a_seed_that_was_not_trained_is_refused(folder: Path, seed: int) -> None:
    """The message says which seeds there are."""
    with pytest.raises(ValueError, match=f"seed must be 0 to 1 in .*, not {seed}"):
        load_policy(folder, seed=seed)


@pytest.mark.parametrize(
    ("acting", "message"),
    [
        ({"N": 0}, "N must be at least 1, not 0"),
        ({"N": -3}, "N must be at least 1, not -3"),
        ({"margin": -0.1}, "margin must be at least 0, not -0.1"),
        ({"proposals": -1}, "proposals must be at least 0, not -1"),
        ({"acting_rule": "best"}, "acting_rule must be one of lowest_violation, best_feasible"),
        ({"sampler": "euler"}, "sampler must be one of ddpm, dpm_solver_1, not euler"),
        ({"N": float("nan")}, "N must be at least 1, not nan"),
        ({"acting_precision": "float16"}, "acting_precision must be one of float32, tensorfloat32"),
    ],
)
def test_acting_out_of_range_is_refused(folder: Path, acting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_policy(folder, **acting)


def test_a_policy_that_was_not_evaluated_asks_how_to_act(copied: Path, data: Transitions) -> None:
    """Without acting.json the parameters must be given; then it acts."""
    (copied / ACTING).unlink()
    with pytest.raises(ValueError, match="acting parameter N is missing; FISOR has: N, sampler"):
        load_policy(copied)
    actions = load_policy(copied, **BY_EIGHT).act(data.observations, jax.random.key(0))
    assert actions.shape == (ROWS, 2)


def test_an_unknown_acting_parameter_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="acting parameter M is unknown; FISOR has: N, sampler"):
        load_policy(folder, M=3)


def test_an_unknown_method_is_refused(copied: Path) -> None:
    """A folder of a method that this program does not have: the message lists those it has."""
    config = checkpoint.load_config(copied / TRAINED) | {"agent": "Nope"}
    (copied / TRAINED / checkpoint.CONFIG).write_text(json.dumps(config))
    with pytest.raises(InputError, match="there is no method `Nope`; there are: FISOR, BC"):
        load_policy(copied)


@pytest.mark.parametrize("critic", ["feasibility", "reward"])
def test_a_policy_without_its_critics_is_refused(copied: Path, critic: str) -> None:
    """Without a critic's folder a policy cannot choose: the missing file is named."""
    shutil.rmtree(copied / TRAINED / critic)
    with pytest.raises(InputError, match=rf"{critic}/config\.json: cannot be read"):
        load_policy(copied)


def test_a_policy_with_another_seeds_critic_is_refused(
    copied: Path, tmp_path: Path, params: Params, data: Transitions
) -> None:
    """A critic of one seed beside score networks of two: refused, not read past its end."""
    fewer = dataclasses.replace(params, seeds=1)
    shutil.rmtree(copied / TRAINED / "feasibility")
    unlike_critic(copied / TRAINED / "feasibility", fewer, data, seed=1)
    with pytest.raises(InputError, match="seeds"):
        load_policy(copied, seed=1)
