"""What baselines share: the limit, the multiplier, their actors; and behaviour cloning."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from constrained_mdp import crossroads, daring_share, trained
from scipy import stats

from fisor.baselines import bc
from fisor.baselines.actors import Gaussian
from fisor.baselines.limits import Gains, Multiplier, discounted_limit, pid


def test_the_discounted_limit_is_the_sum_of_evenly_spread_costs() -> None:
    """By the sum itself; at gamma 0.99 OSRL's own numbers for DSRL's tasks."""
    spread = sum(0.9**step * 3 / 7 for step in range(7))
    assert discounted_limit(3.0, 0.9, 7) == pytest.approx(spread, rel=1e-12)
    assert discounted_limit(10.0, 0.99, 1000) == pytest.approx(1.00, abs=0.005)
    assert discounted_limit(5.0, 0.99, 200) == pytest.approx(2.17, abs=0.005)
    assert discounted_limit(0.0, 0.99, 200) == 0.0


def test_the_multiplier_rises_on_violation_and_falls_after_it() -> None:
    """Numbers by hand: 0.5 max(e, 0) + 0.25 I + 1 max(e - last e, 0), I = max(I + e, 0)."""
    memory, seen = Multiplier.begin(), []
    for error in (2.0, 2.0, -1.0, -5.0):
        memory, multiplier = pid(memory, jnp.asarray(error), Gains(0.5, 0.25, 1.0))
        seen.append(float(multiplier))
    assert seen == [0.5 * 2 + 0.25 * 2 + 2, 0.5 * 2 + 0.25 * 4, 0.25 * 3, 0.0]


def test_a_gaussian_through_tanh_has_its_density() -> None:
    """Against SciPy's normal density of the action before tanh, over tanh's slope."""
    gaussian = Gaussian(jnp.asarray([0.3, -1.0]), jnp.log(jnp.asarray([0.5, 2.0])))
    action, log_density = gaussian.sample(jax.random.key(0))
    raw = np.arctanh(np.asarray(action, np.float64))
    slope = 1 - np.asarray(action, np.float64) ** 2
    expected = (stats.norm.logpdf(raw, [0.3, -1.0], [0.5, 2.0]) - np.log(slope)).sum()
    assert float(log_density) == pytest.approx(expected, abs=1e-4)
    assert float(gaussian.log_density(action)) == pytest.approx(expected, abs=1e-4)
    for corner in (1.0, -1.0):
        assert np.isfinite(float(gaussian.log_density(jnp.full(2, corner))))


def test_the_program_dares_where_it_pays() -> None:
    """The oracle of the learning tests, against all eight deterministic policies by hand."""
    process = crossroads(cost_limit=1.0)
    values = {
        bits: process.values(np.array(bits, float))
        for bits in [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    }
    within = {bits: reward for bits, (reward, cost) in values.items() if cost <= 1.0}
    assert max(within, key=lambda bits: within[bits]) == (1, 0, 0)
    best, daring = process.optimum()
    assert best >= max(within.values())
    reward, cost = process.values(daring)
    assert reward == pytest.approx(best)
    assert cost <= 1.0 + 1e-9
    assert crossroads(cost_limit=0.0).optimum()[1] == pytest.approx([0, 0, 0])
    assert crossroads(cost_limit=100.0).optimum()[1] == pytest.approx([1, 1, 0], abs=1e-9)


def test_bc_loss() -> None:
    """((0.5 - 0)^2 + (-0.2 - 0.2)^2) / 2, by hand."""
    value = bc.loss(jnp.asarray([0.5, -0.2]), jnp.asarray([0.0, 0.2]))
    assert float(value) == pytest.approx((0.25 + 0.16) / 2)


def test_bc_clones(tmp_path: Path) -> None:
    """Data that dares in the second state alone: so does its clone."""
    data, problem = crossroads(1.0).dataset(40, 20)
    signs = np.where(data.observations[:, [1]] == 1, 1.0, -1.0)
    data = data._replace(actions=(np.abs(data.actions) * signs).astype(np.float32))
    agent = trained(
        "BC",
        data,
        problem(cost_limit=1.0),
        tmp_path,
        seeds=1,
        training_steps=300,
        batch_size=64,
        hidden_units=16,
        learning_rate=0.01,
    )
    assert daring_share(agent, 3).tolist() == [0.0, 1.0, 0.0]
