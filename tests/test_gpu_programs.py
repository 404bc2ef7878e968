"""What training would give a GPU, read as text: lowered for one, which needs none."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from fisor.config.params import Params
from fisor.critics import feasibility, reward
from fisor.data.transitions import Transitions
from fisor.policies import regression
from fisor.training.fit import seed_keys
from fisor.training.programs import Programs, devices_for

STAGES = "feasibility", "reward", "policy"
ROWS, STEPS, ACTION_DIM = 6, 2, 2
# What StableHLO calls a product of float32, of rounded, and of bfloat16 operands.
SAID = {"float32": "[HIGHEST,", "tensorfloat32": "[HIGH,", "bfloat16": "xbf16>"}


@pytest.fixture
def lowered(
    small_params: Callable[..., Params],
    random_transitions: Callable[..., Transitions],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """A function (program, stage, parameters) -> that program's text, for CUDA."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    data = random_transitions(ROWS)

    def text_of(program: str, stage: str, **changes: Any) -> str:
        params = small_params(policy_batch_size=2 * regression.ROWS_AT_ONCE, **changes)
        if stage == "policy":
            init, update = regression.init(params, data), regression.update(params, ACTION_DIM)
            batch_size, own = params.policy_batch_size, jnp.ones((params.seeds, ROWS))
        else:
            module: Any = {"feasibility": feasibility, "reward": reward}[stage]
            init, update = module.init(params, data), module.update(params)
            batch_size, own = params.value_batch_size, ()
        programs = Programs(init, update, ROWS, batch_size, devices_for(params.seeds))
        keys = seed_keys(params.seeds)
        if program == "start":
            traced = programs.start.trace(keys)
        elif program == "picked":
            traced = programs.picked.trace(keys, None, 0, length=STEPS)
        else:
            states = jax.eval_shape(programs.start, keys)
            traced = programs.run.trace(states, keys, None, data, own, 0, length=STEPS)
        return traced.lower(lowering_platforms=("cuda",)).as_text()

    return text_of


@pytest.mark.parametrize("precision", SAID)
@pytest.mark.parametrize("stage", STAGES)
def test_every_product_says_its_precision(
    stage: str, precision: str, lowered: Callable[..., str]
) -> None:
    """No product of training is left to JAX, which on a GPU would round operands unasked.

    Of the policy's, the few that encode the noise levels are float32 always.
    """
    text = lowered("run", stage, product_precision=precision)
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    others = [line for line in products if SAID[precision] not in line]
    assert len(products) - len(others) > 8
    if precision == "float32" or stage != "policy":
        assert not others
    else:
        assert 0 < len(others) < 6
        assert all(SAID["float32"] in line for line in others)


@pytest.mark.parametrize("stage", STAGES)
def test_no_sum_depends_on_the_order_of_threads(stage: str, lowered: Callable[..., str]) -> None:
    """No program scatters: a GPU adds scattered values in whatever order its threads come."""
    texts = [lowered(program, stage) for program in ("start", "picked", "run")]
    assert "stablehlo.gather" in texts[-1]
    assert not any("scatter" in text for text in texts)


def test_a_gpu_gets_the_whole_batch(lowered: Callable[..., str]) -> None:
    """Parts of a batch are for the caches of CPUs: the only loop is the one over updates."""
    assert lowered("run", "policy").count("stablehlo.while") == 1
