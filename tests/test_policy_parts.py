"""A large batch goes through the policy's network in parts, on CPUs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fisor.config.params import Params
from fisor.data.transitions import Transitions
from fisor.policies import regression
from fisor.training.fit import fit


@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_parts_add_up_to_the_batch(
    kind: str,
    small_params: Callable[..., Params],
    random_transitions: Callable[..., Transitions],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gradient and the loss of a batch are the means of its parts', each under its own key.

    Oracle: the updates of the parts alone. Adam's first moment after one update, 0.1 times the
    gradient, tells the gradient; dropout is on, so the keys matter.
    """
    rows = jax.tree.map(jnp.asarray, random_transitions(8))
    batch = rows, jnp.arange(8.0)
    params = small_params(policy=kind, policy_dropout=0.3)
    update = regression.update(params, 2)
    state = regression.init(params, rows)(jax.random.key(1))
    key = jax.random.key(2)

    def moment_and_loss(batch: Any, key: jax.Array) -> tuple[np.ndarray, float]:
        after, metrics = jax.jit(update)(state, batch, key)
        moments = [np.ravel(leaf) for leaf in jax.tree.leaves(after.optimiser[0].mu)]
        return np.concatenate(moments), float(metrics["policy_loss"])

    halves = [jax.tree.map(lambda x, at=at: x[at : at + 4], batch) for at in (0, 4)]
    each = [moment_and_loss(*of) for of in zip(halves, jax.random.split(key), strict=True)]
    monkeypatch.setattr(regression, "parts_of", lambda batch_size: batch_size // 4)
    update = regression.update(params, 2)
    moment, loss = moment_and_loss(batch, key)

    assert np.abs(each[0][0] - each[1][0]).max() > 1e-2
    np.testing.assert_allclose(moment, (each[0][0] + each[1][0]) / 2, rtol=1e-4, atol=1e-5)
    assert loss == pytest.approx((each[0][1] + each[1][1]) / 2, rel=1e-5)


def test_large_batches_train_the_same_fed_from_the_host(
    small_params: Callable[..., Params], random_transitions: Callable[..., Transitions]
) -> None:
    """To the last bit: batches of more rows than `ROWS_AT_ONCE`, compiled as those are.

    What is fed holds observations and actions alone, all that a policy learns from.
    """
    params = small_params(policy="gaussian", training_steps=4, log_every_updates=2)
    data = random_transitions(3000)
    own = np.random.default_rng(0).uniform(0, 5, (params.seeds, 3000)).astype(np.float32)

    def trained(rows: Transitions, on_device: bool) -> Any:
        fresh, step = regression.init(params, data), regression.update(params, 2)
        batch_size = 2 * regression.ROWS_AT_ONCE
        sizes: Any = {"config": params, "batch_size": batch_size, "on_device": on_device}
        return fit(fresh, step, rows, own, name="", **sizes)[0]

    there, fed = trained(data, True), trained(regression.learned_from(data), False)
    jax.tree.map(np.testing.assert_array_equal, fed, there)


@pytest.mark.parametrize(
    ("rows", "parts"), [(256, 1), (512, 1), (513, 1), (1024, 2), (2048, 4), (2050, 1)]
)
def test_number_of_parts(rows: int, parts: int) -> None:
    """Parts are of 512 rows; a batch that these do not divide stays whole, as on a GPU."""
    assert regression.parts_of(rows) == (parts if jax.default_backend() == "cpu" else 1)
