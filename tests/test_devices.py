"""Seeds over several devices, simulated: a process whose CPU says that it is four."""

import dataclasses
import os
import sys
from collections.abc import Callable
from typing import Any

import jax
import mixing
import numpy as np
import pytest
from oracles import drawn_params
from project import ROOT, run

from fisor.config.files import load_params
from fisor.config.params import Params
from fisor.critics import feasibility
from fisor.critics.pair import CriticState
from fisor.critics.trained import CriticNetworks
from fisor.data.transitions import Transitions
from fisor.nn.optimiser import optimiser
from fisor.training.fit import fit

DEVICES = 4


def small(seeds: int) -> Params:
    return dataclasses.replace(
        load_params(ROOT / "params.yaml"),
        seeds=seeds,
        hidden_layers=1,
        hidden_units=8,
        training_steps=6,
        log_every_updates=4,
    )


def train_critic() -> Any:
    """Four seeds of a small critic, with Adam's state."""
    draw, n = np.random.default_rng(0), 50
    data = Transitions(
        observations=draw.normal(size=(n, 3)).astype(np.float32),
        actions=draw.uniform(-1, 1, (n, 2)).astype(np.float32),
        next_observations=draw.normal(size=(n, 3)).astype(np.float32),
        rewards=draw.normal(size=n).astype(np.float32),
        costs=None,
        violations=draw.normal(size=n).astype(np.float32),
        terminals=np.arange(n) % 3 == 2,
    )
    params = small(4)
    networks = CriticNetworks.of_size(params.hidden_layers, params.hidden_units)
    q, v = drawn_params(lambda key: networks.init_params(key, 3, 2), seed=0)
    adam = optimiser(params)

    def init(key: jax.Array) -> CriticState:
        return CriticState(q, v, q, adam.init(q), adam.init(v))

    return fit(init, feasibility.update(params), data, config=params, batch_size=8, name="")[0]


TRAININGS: dict[str, Callable[[], Any]] = {
    "4 seeds": lambda: mixing.mix(small(4))[0],
    "6 seeds": lambda: mixing.mix(small(6))[0],
    "by weight, fed": lambda: mixing.mix(small(4), by_weight=True, on_device=False)[0],
    "critic": train_critic,
}
DEVICES_USED = {"4 seeds": 4, "6 seeds": 3, "by weight, fed": 4, "critic": 4}


def trained(name: str) -> dict[str, np.ndarray]:
    """The states' numbers, and on how many devices they lie."""
    leaves = jax.tree.leaves(TRAININGS[name]())
    arrays = {f"{name}/{index}": np.asarray(leaf) for index, leaf in enumerate(leaves)}
    return arrays | {f"{name}/devices": np.array(len(leaves[0].devices()))}


@pytest.fixture(scope="module")
def on_four(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """All trainings in a process with four devices."""
    path = tmp_path_factory.mktemp("devices") / "trained.npz"
    with pytest.MonkeyPatch.context() as patch:
        flag = f"--xla_force_host_platform_device_count={DEVICES}"
        patch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} {flag}")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        result = run(path.parent, sys.executable, __file__, str(path))
    assert result.returncode == 0, result.stderr
    assert "mix: 4 x cpu" in result.stderr
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("name", TRAININGS)
def test_the_same_numbers_as_on_one_device(name: str, on_four: dict[str, np.ndarray]) -> None:
    """Seeds on as many of the four as divide them: the numbers of one device.

    In whole numbers to the last bit. A critic but for the rounding of matrix products: XLA
    multiplies one matrix by other code than four at once.
    """
    alone = trained(name)
    assert alone.pop(f"{name}/devices") == 1
    assert on_four[f"{name}/devices"] == DEVICES_USED[name]
    for place, numbers in alone.items():
        if name == "critic":
            np.testing.assert_allclose(on_four[place], numbers, rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(on_four[place], numbers)


if __name__ == "__main__":
    np.savez(sys.argv[1], **{k: v for name in TRAININGS for k, v in trained(name).items()})
