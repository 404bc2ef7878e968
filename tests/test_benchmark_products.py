"""The benchmarks' products: those of a hand-made function, by hand, and all of them done."""

import dataclasses
from collections import Counter
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from project import ROOT

from benchmarks import baselines, training
from benchmarks.products import Product, in_a_row, operands, products_of, work
from benchmarks.updates import advancing, captured
from fisor.baselines.baseline import Problem
from fisor.config.files import load_params
from fisor.config.params import Params
from fisor.data.transitions import Transitions
from fisor.nn.networks import product

Array = jax.Array
BATCH, INPUTS, UNITS, STEPS = 6, 5, 4, 3
INPUT, KERNEL, SQUARE = (
    jax.ShapeDtypeStruct(shape, jnp.float32)
    for shape in ((BATCH, INPUTS), (INPUTS, UNITS), (UNITS, UNITS))
)


def shapes(found: list[Product]) -> Counter[Any]:
    """How often products of which shapes are done."""
    counted: Counter[Any] = Counter()
    for each in found:
        counted[tuple(operand.shape for operand in each.operands)] += each.times
    return counted


def train(inputs: Array, kernel: Array, square: Array) -> Array:
    """Three gradient steps of two layers, compiled; a product that nothing needs beside them."""

    def loss(kernel: Array) -> Array:
        return jnp.square(jax.nn.relu(product(inputs, kernel)) @ square).sum()

    def step(kernel: Array, _: None) -> tuple[Array, None]:
        square @ square
        return kernel - jax.grad(jax.jit(loss))(kernel), None

    return jax.lax.scan(step, kernel, None, length=STEPS)[0]


# A step: both layers, back through the second, and the first kernel's gradient; not the inputs'.
OF_TRAIN = {
    ((BATCH, INPUTS), (INPUTS, UNITS)): STEPS,
    ((BATCH, UNITS), (UNITS, UNITS)): 2 * STEPS,
    ((BATCH, UNITS), (BATCH, INPUTS)): STEPS,
}


def test_the_products_of_a_training_are_counted() -> None:
    """By hand: within a loop, a compiled function and a derivative of our own."""
    found = products_of(train, INPUT, KERNEL, SQUARE)
    assert shapes(found) == OF_TRAIN
    each = 2 * (2 * BATCH * INPUTS * UNITS + 2 * BATCH * UNITS * UNITS)
    assert sum(one.operations for one in found) == STEPS * each


def test_the_products_of_several_seeds_are_batched() -> None:
    """Two seeds' kernels with shared inputs take twice the operations, by hand."""
    kernels = jax.ShapeDtypeStruct((2, INPUTS, UNITS), jnp.float32)
    found = products_of(jax.vmap(train, (None, 0, None)), INPUT, kernels, SQUARE)
    each = 2 * 2 * (2 * BATCH * INPUTS * UNITS + 2 * BATCH * UNITS * UNITS)
    assert sum(one.operations for one in found) == STEPS * each


def test_a_convolution_counts() -> None:
    """Signals of 7 with 3 channels to 4, a window of 5: by hand 2 x 2 x 7 x 4 x 5 x 3."""

    def convolve(signals: Array, kernel: Array) -> Array:
        return jax.lax.conv_general_dilated(
            signals, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
        )

    (found,) = products_of(convolve, jnp.zeros((2, 7, 3)), jnp.zeros((5, 3, 4)))
    assert found.operations == 2 * 2 * 7 * 4 * 5 * 3


def test_what_cannot_be_counted_is_refused() -> None:
    """A loop whose end depends on values."""

    def until(square: Array) -> Array:
        return jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: x @ x, square)

    with pytest.raises(ValueError, match="within `while`"):
        products_of(until, SQUARE)


def test_all_products_are_done() -> None:
    """Compiled, each distinct product has one loop that holds it, and repeats it as often as asked.

    The compiler's own count of operations is that of one pass through each loop.
    """
    found = products_of(train, INPUT, KERNEL, SQUARE)
    do, given = in_a_row(found, repeats=2), operands(found)
    compiled = jax.jit(do).lower(*given).compile()
    assert compiled.as_text().count(" dot(") == len(found) == 4
    assert compiled.cost_analysis()["flops"] >= sum(each.operations / each.times for each in found)
    assert shapes(products_of(do, *given)) == {kind: 2 * n for kind, n in OF_TRAIN.items()}


def test_products_go_on_with_their_operands() -> None:
    """A function for the timing can be called again and again, and gives finite numbers."""
    do = work(products_of(train, INPUT, KERNEL, SQUARE), 2)
    assert bool(jnp.isfinite(jnp.stack([do(), do()])).all())


# Of trainings -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def params() -> Params:
    """The benchmark's sizes: params.yaml's, one seed."""
    return dataclasses.replace(load_params(ROOT / "params.yaml"), seeds=1)


@pytest.mark.parametrize("stage", ["train_feasibility", "train_reward"])
def test_the_critics_products_are_those_of_algorithm_1(params: Params, stage: str) -> None:
    """As many operations as `benchmarks.training` counts by hand, without any product found."""
    data = training.random_transitions(8)
    found = training.stage_training(stage, params, data, data).products()
    assert sum(each.operations for each in found) == training.operations(stage, params, 8)


def test_a_baselines_products_are_found_in_its_training(params: Params) -> None:
    """BC's, by hand: forward and back in three layers, but not back to the observations."""
    data, problem = baselines.random_problem(8)
    *_, (name, method, given) = baselines.trainings(params, ["BC"], data, problem)
    assert (name, method, given.batch_size) == ("BC", "BC", 512)
    each = 2 * 8 * 256 + 3 * 256 * 256 + 3 * 256 * training.ACTION_DIM
    assert sum(each.operations for each in given.products()) == 2 * 512 * each


def test_a_baseline_that_trains_twice_has_both_found(params: Params) -> None:
    """The second training begins with what the first one's `fit` returned."""
    data, problem = baselines.random_problem(8)

    def train(config: Params, problem: Problem, data: Transitions, fit: Any) -> None:
        def update(state: Array, batch: Any, key: Array) -> tuple[Array, dict[str, Array]]:
            return state @ batch[0].observations.T @ batch[0].observations, {"loss": state.sum()}

        rows = data.only("observations")
        states, curve = fit(lambda key: jnp.ones((3, 8)), update, rows, batch_size=16)
        assert states.shape == (1, 3, 8)
        assert curve.metrics["loss"].shape == (1, 1)
        fit(lambda key: jnp.asarray(states[0]), update, rows, batch_size=32)

    module = ModuleType("twice")
    module.train = train  # type: ignore[attr-defined]
    found, _ = captured(module, params, problem, data)
    operations = [sum(each.operations for each in given.products()) for given in found]
    assert operations == [2 * 2 * 3 * 8 * 16, 2 * 2 * 3 * 8 * 32]
    advance = advancing(found[0], seeds=1, length=2)
    assert advance()["loss"].shape == (2, 1)
