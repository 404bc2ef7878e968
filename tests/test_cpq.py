"""CPQ: its targets and losses by hand; a process whose best policy within a limit is known."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from constrained_mdp import ConstrainedMDP, daring_share, episode_limit, learned, stored

from fisor.agents import Agent, Policy, load_policy
from fisor.baselines import cpq
from fisor.baselines.critics import Critics
from fisor.nn.networks import EnsembleQ
from fisor.training.log import Curve

LIMIT, HORIZON_STEPS, SEEDS = 1.0, 20, 2
SMALL: dict[str, Any] = {  # networks, at high rates
    "training_steps": 1200,
    "log_every_updates": 100,
    "batch_size": 64,
    "hidden_units": 32,
    "vae_units": 16,
    "sampled_actions": 4,
    "learning_rate": 3e-3,
    "actor_learning_rate": 3e-3,
    "vae_learning_rate": 3e-3,
    "soft_update": 0.05,
    "gamma": 0.9,
}


def detour(cost_limit: float) -> ConstrainedMDP:
    """A road that earns 1 per step, and a trap beside it that earns 6 for a cost of 1.

    A daring action earns nothing on the road and leads, one time in ten, into the trap, which a
    careful action leaves. In the trap each action costs at least 1, so with that limit each is
    unsafe, and CPQ should not go there. (It cannot learn `crossroads`: where an action becomes
    unsafe only as it changes, its policy's gradient knows the value before, and none beyond.)
    """
    careful, daring = [[1.0, 0.0], [1.0, 0.0]], [[0.9, 0.1], [0.0, 1.0]]
    return ConstrainedMDP(
        transition=np.stack([careful, daring], axis=1),
        rewards=np.array([[1.0, 0.0], [6.0, 6.0]]),
        costs=np.array([[0.0, 0.0], [1.0, 1.0]]),
        start=np.array([1.0, 0.0]),
        gamma=0.9,
        cost_limit=cost_limit,
    )


class Run(NamedTuple):
    """One training, read back from its folder."""

    agent: Agent
    curve: Curve
    folder: Path


def run(folder: Path, limit: float, **changes: Any) -> Run:
    data, problem = detour(limit).dataset(100, HORIZON_STEPS)
    sizes = np.random.default_rng(1).uniform(0, 1, data.actions.shape)  # no action is unlike them
    data = data._replace(actions=(np.sign(data.actions) * sizes).astype(np.float32))
    problem = problem(cost_limit=episode_limit(limit, 0.9, HORIZON_STEPS))
    config, result = learned("CPQ", data, problem, **{**SMALL, **changes})
    (folder / "trained").mkdir()
    agent = stored("CPQ", data, config, result, folder / "trained")
    return Run(agent, result.curve, folder)


@pytest.fixture(scope="module")
def within_limit(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("CPQ"), LIMIT, seeds=SEEDS)


@pytest.fixture(scope="module")
def as_osrl(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("CPQ"), LIMIT, seeds=SEEDS, ood_gradient=False)


def test_unsafe_next_values_count_as_nothing() -> None:
    """0.1 + 0.9 * 2 where Q_c is at most the limit, 0.1 where it is above, or nothing follows."""
    costs = jnp.asarray([0.9, 1.0, 1.1, 0.9])
    terminals = jnp.asarray([False, False, False, True])
    values = cpq.target(jnp.full(4, 0.1), jnp.full(4, 2.0), costs, terminals, 0.9, 1.0)
    np.testing.assert_allclose(values, [1.9, 1.9, 0.1, 0.1], rtol=1e-6)


def test_unsafe_actions_have_no_policy_loss() -> None:
    """-Q_r where Q_c is at most the limit; 0, with no gradient by either value, where above."""
    assert cpq.policy_loss(jnp.full(3, 2.0), jnp.asarray([0.9, 1.0, 1.1]), 1.0).tolist() == [
        -2,
        -2,
        0,
    ]
    slopes = jax.grad(cpq.policy_loss, argnums=(0, 1))
    assert [float(slope) for slope in slopes(2.0, 0.9, 1.0)] == [-1, 0]
    assert [float(slope) for slope in slopes(2.0, 1.1, 1.0)] == [0, 0]


@pytest.mark.parametrize("rows", [1, 2, 4, 10, 640, 643])
def test_the_highest_quarter_counts_as_out_of_distribution(rows: int) -> None:
    """Against NumPy's 75th percentile: all that are at least that."""
    divergences = np.random.default_rng(rows).exponential(size=rows).astype(np.float32)
    expected = np.flatnonzero(divergences >= np.percentile(divergences, 75))
    chosen = np.asarray(cpq.out_of_distribution(jnp.asarray(divergences)))
    assert sorted(chosen.tolist()) == expected.tolist()


def test_out_of_distribution_loss() -> None:
    """-2 (3 - 1.5) and -2 (1 - 1.5), by hand, at alpha 2."""
    loss = cpq.ood_loss(jnp.asarray([3.0, 1.0]), jnp.log(2.0), 1.5)
    np.testing.assert_allclose(loss, [-3.0, 1.0], rtol=1e-6)


def test_alpha_rises_while_other_actions_look_safe() -> None:
    """Log 2 + 0.1 * 2 (1.5 - 1), by hand; it falls where they cost more, and is cut at 5."""
    assert float(cpq.next_log_alpha(jnp.log(2.0), 1.0, 1.5, 0.1)) == pytest.approx(np.log(2) + 0.1)
    assert float(cpq.next_log_alpha(jnp.log(2.0), 3.0, 1.5, 0.1)) == pytest.approx(np.log(2) - 0.3)
    assert float(cpq.next_log_alpha(4.9, 0.0, 1.5, 1.0)) == 5.0
    assert float(cpq.next_log_alpha(-4.9, 1e4, 1.5, 1.0)) == -5.0


def test_the_gradient_of_other_actions_reaches_the_cost_critics_alone() -> None:
    """By default; with `ood_gradient: false`, as OSRL has it, it is 0 and the value is the same."""
    critics = Critics(EnsembleQ(hidden_layers=1, hidden_units=8, members=4))
    params = jax.jit(lambda key: critics.fresh(key, 3, 1))(jax.random.key(0))
    rows = jnp.eye(3), jnp.asarray([[0.5], [0.1], [-0.9]])

    @partial(jax.jit, static_argnums=1)
    def taught(params: Any, ood_gradient: bool) -> Any:
        return jax.value_and_grad(
            lambda params: cpq.mean_ood_value(critics, params, *rows, ood_gradient)
        )(params)

    (value, gradient), (same_value, no_gradient) = taught(params, True), taught(params, False)
    assert value == same_value
    for leaf, zeros in zip(*map(jax.tree.leaves, (gradient, no_gradient)), strict=True):
        assert not np.any(zeros)
        assert not np.any(leaf[:2])
        assert np.any(leaf[2:])


@pytest.mark.parametrize("name", ["within_limit", "as_osrl"])
def test_it_learns_to_stay_within_the_limit(name: str, request: pytest.FixtureRequest) -> None:
    """Against the linear program's optimum, 13.9, which mixes, at a cost of at most 1.

    The best deterministic policy within the limit earns 10 for nothing. Daring on the road earns 5,
    or 28.4 for a cost of 4.7.
    """
    process = detour(LIMIT)
    for seed in range(SEEDS):
        reward, cost = process.values(
            daring_share(request.getfixturevalue(name).agent, 2, seed=seed)
        )
        assert reward > process.optimum()[0] - 4
        assert cost <= LIMIT


def test_what_the_out_of_distribution_gradient_does(within_limit: Run, as_osrl: Run) -> None:
    """With it, the policy's own actions look costly; without, Q_c is their cost (0), within 0.5.

    A quarter of the policy's actions is always raised, so that at OSRL's rates all become unsafe.
    """
    taught, not_taught = (
        run.curve.metrics["cost_value_mean"][-1] for run in (within_limit, as_osrl)
    )
    assert (taught > 1.5 * LIMIT).all()
    assert (np.abs(not_taught) < 0.5).all()


@pytest.mark.slow
def test_without_a_limit_it_dares(tmp_path: Path) -> None:
    """At a limit above all costs, the linear program's optimum, 28.4, at a cost of 4.7."""
    agent, _, _ = run(tmp_path, 100.0, seeds=1, ood_gradient=False)
    process = detour(100.0)
    assert process.values(daring_share(agent, 2))[0] > process.optimum()[0] - 4


def test_a_seed_is_the_same_among_others(within_limit: Run, tmp_path: Path) -> None:
    """Its first 100 updates alone and beside another seed, but for the rounding of products."""
    alone = run(tmp_path, LIMIT, seeds=1, training_steps=100)
    for name, values in alone.curve.metrics.items():
        first, second = within_limit.curve.metrics[name][0]
        np.testing.assert_allclose(values[0, 0], first, rtol=1e-3, atol=1e-5)
        assert abs(first - second) > 1e-4 or first == second == 0


def test_a_folder_acts_as_its_agent(within_limit: Run) -> None:
    """By `load_policy`; by the mean, whatever the key."""
    observations = np.eye(2, dtype=np.float32)
    loaded = load_policy(within_limit.folder, seed=1)
    actions = loaded.act(observations, jax.random.key(3))
    agent = Policy(within_limit.agent, 1)
    np.testing.assert_array_equal(actions, agent.act(observations, jax.random.key(4)))
    assert np.abs(actions).max() <= 1
