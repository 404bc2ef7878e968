"""The acting rules: which of the candidates acts, by Q_h, Q_r and a margin."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configured import section

from fisor.config.acting import Acting
from fisor.critics.trained import CriticNetworks
from fisor.policies import agent, diffusion
from fisor.policies.agent import best_feasible
from fisor.policies.gaussian import GaussianNetwork
from fisor.policies.stored import PolicyNetworks, PolicyParams

ROWS = 40
BEST = section(Acting, N=6, acting_rule="best_feasible", margin=0.2, proposals=5)


def test_best_feasible_by_hand() -> None:
    """Four states of three candidates and two proposals, margin 0.1.

    1: two candidates are feasible by the margin; the one of higher Q_r acts, though another is
    safer and one beyond the margin better. 2: one is exactly at the margin. 3: none is; a
    proposal's Q_h is the lowest. 4: none is; a candidate's is.
    """
    q_h = [[-0.9, -0.3, -0.05], [-0.1, 0.2, 0.3], [0.2, 0.1, -0.09], [0.5, 0.3, 0.4]]
    q_r = [[1, 2, 9], [-5, 2, 3], [1, 2, 3], [3, 1, 2]]
    q_h_of_proposals = [[-2, -2], [-2, -2], [0.3, -0.095], [0.35, 0.6]]
    candidates = np.arange(12.0, dtype=np.float32).reshape(4, 3, 1)
    proposals = -1 - np.arange(8.0, dtype=np.float32).reshape(4, 2, 1)
    arrays = (jnp.asarray(values, jnp.float32) for values in (q_h, q_r))
    of_proposals = jnp.asarray(q_h_of_proposals, jnp.float32)
    actions = best_feasible(candidates, *arrays, proposals, of_proposals, 0.1)
    np.testing.assert_array_equal(actions, [[1], [3], [-6], [10]])


Q_H, Q_R = ((0.5, 0.1), (0.4, -0.2)), ((0.3, 1.0), (0.1, 1.5))


def linear_twins(weights: tuple[tuple[float, float], ...]) -> Any:
    """Parameters of twins without hidden layers: w . a + s_0 for each twin's w."""
    kernel = [[1, 0, 0, *of_twin] for of_twin in weights]
    layer = {"kernel": jnp.asarray(kernel, jnp.float32)[..., None], "bias": jnp.zeros((2, 1))}
    return {"params": {"VmapScalarMLP_0": {"Dense_0": layer}}}


@pytest.fixture(scope="module")
def networks() -> PolicyNetworks:
    """A Gaussian policy with critics in closed form."""
    critic = CriticNetworks.of_size(0, 1)
    network = GaussianNetwork(action_dim=2, layers=1, units=8, dropout=0.0)
    return PolicyNetworks(network, diffusion.schedule(1), critic, critic)


@pytest.fixture(scope="module")
def params(networks: PolicyNetworks) -> PolicyParams:
    assert isinstance(networks.score, GaussianNetwork)
    score = networks.score.init_params(jax.random.key(1), 3)
    return PolicyParams(score, linear_twins(Q_H), None, linear_twins(Q_R))


@pytest.fixture(scope="module")
def observations() -> np.ndarray:
    """States whose s_0 lets some have feasible candidates, and some none."""
    drawn = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    drawn[:, 0] = np.linspace(-0.8, 0.6, ROWS)
    return drawn


def act(networks: PolicyNetworks, params: PolicyParams, rows: np.ndarray, how: Acting) -> Any:
    return np.asarray(jax.jit(partial(agent.act, networks, acting=how))(params, rows, KEY))


KEY = jax.random.key(7)


def q(weights: Any, observations: np.ndarray, actions: np.ndarray, twin: Any) -> np.ndarray:
    """The value of `[B, N, 2]` actions, `[B, N]`, in NumPy."""
    return twin(actions @ np.asarray(weights).T + observations[:, None, :1], axis=-1)


def test_the_rule_acts_on_the_policys_own_candidates(
    networks: PolicyNetworks, params: PolicyParams, observations: np.ndarray
) -> None:
    """Where a candidate has Q_h <= -margin, that of highest Q_r acts; else one as safe as any.

    Oracle: the candidates, which are all of N = 1, drawn by the same key for repeated states;
    their larger twin Q_h and smaller twin Q_r in NumPy.
    """
    alone = dataclasses.replace(BEST, N=1, acting_rule="lowest_violation")
    drawn = act(networks, params, np.repeat(observations, BEST.N, axis=0), alone)
    candidates = drawn.reshape(ROWS, BEST.N, 2)
    q_h, q_r = q(Q_H, observations, candidates, np.max), q(Q_R, observations, candidates, np.min)
    allowed = q_h <= -BEST.margin
    best = np.where(allowed, q_r, -np.inf).argmax(axis=1)
    some = allowed.any(axis=1)
    assert 5 < some.sum() < ROWS - 5
    assert (q_h.argmin(axis=1) != best)[some].any()

    actions = act(networks, params, observations, BEST)
    np.testing.assert_allclose(actions[some], candidates[some, best[some]], atol=1e-6)
    taken = q(Q_H, observations, actions[:, None], np.max)[:, 0]
    assert (taken[~some] <= q_h[~some].min(axis=1) + 1e-6).all()


def test_proposals_are_uniform_over_the_action_space(
    networks: PolicyNetworks, params: PolicyParams, observations: np.ndarray
) -> None:
    """With a margin that nothing meets, many proposals come near the action of lowest Q_h.

    Without any, the lowest Q_h of the candidates acts, as by the paper's rule. Oracle: Q_h on a
    fine grid of [-1, 1] x [-1, 1].
    """
    axis = np.linspace(-1, 1, 41)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(1, -1, 2)
    least = q(Q_H, observations, np.repeat(grid, ROWS, axis=0), np.max).min(axis=1)
    many = dataclasses.replace(BEST, margin=99.0, proposals=400)
    taken = q(Q_H, observations, act(networks, params, observations, many)[:, None], np.max)[:, 0]
    assert (taken - least).max() < 0.15
    assert (taken - least).min() > -0.02  # of the grid

    none = dataclasses.replace(many, proposals=0)
    papers = dataclasses.replace(none, acting_rule="lowest_violation")
    np.testing.assert_array_equal(
        act(networks, params, observations, none), act(networks, params, observations, papers)
    )


def test_margin_and_proposals_do_nothing_to_the_papers_rule(
    networks: PolicyNetworks, params: PolicyParams, observations: np.ndarray
) -> None:
    """The same bits."""
    papers = dataclasses.replace(BEST, acting_rule="lowest_violation")
    plain = dataclasses.replace(papers, margin=0.0, proposals=0)
    np.testing.assert_array_equal(
        act(networks, params, observations, papers), act(networks, params, observations, plain)
    )
