"""Acting, and loading a policy."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from drawn_critics import of_seed, unlike_critics
from drawn_policies import nearly_the_noise
from oracles import mlp, twins
from saved_policies import BY_EIGHT, CANDIDATES, SEEDS, saved_policy, score_networks

import fisor
from fisor.agents import TRAINED, Step, load_agent, load_policy
from fisor.config.acting import Acting
from fisor.config.params import Params
from fisor.critics.trained import TrainedCritic
from fisor.data.transitions import Transitions
from fisor.nn import checkpoint
from fisor.nn.networks import forward
from fisor.policies import agent, diffusion, stored
from fisor.policies.regression import PolicyState
from fisor.policies.stored import PolicyNetworks, PolicyParams

ROWS = 30
ACTING_BY_EIGHT = Acting(**BY_EIGHT)


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
def states(params: Params, data: Transitions) -> PolicyState:
    """Score networks of two seeds; the latest weights differ from the averaged ones."""
    return score_networks(params, data)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    params: Params,
    data: Transitions,
    states: PolicyState,
    both_critics: tuple[TrainedCritic, TrainedCritic],
) -> Path:
    """A saved policy of two seeds."""
    return saved_policy(tmp_path_factory.mktemp("policy"), params, data, states, both_critics)


@pytest.fixture(scope="module")
def loaded(folder: Path) -> tuple[PolicyNetworks, PolicyParams]:
    """The policy's networks and its parameters of both seeds."""
    return stored.load(folder / TRAINED, checkpoint.load_config(folder / TRAINED))


@pytest.fixture(scope="module")
def networks(loaded: tuple[PolicyNetworks, PolicyParams]) -> PolicyNetworks:
    """The policy's networks, the score's replaced by one that is nearly the noise."""
    return loaded[0]._replace(score=nearly_the_noise(3, 3)[0])


@pytest.fixture(scope="module")
def stacked(loaded: tuple[PolicyNetworks, PolicyParams]) -> PolicyParams:
    """The policy's parameters of both seeds."""
    return loaded[1]


def of_nearly_the_noise(stacked: PolicyParams, seed: int) -> PolicyParams:
    """The critics of one seed beside the network that is nearly the noise."""
    return of_seed(stacked, seed)._replace(score=nearly_the_noise(3, 3)[1])


# Acting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_candidate_of_lowest_feasible_value_acts(
    networks: PolicyNetworks, stacked: PolicyParams, data: Transitions, seed: int
) -> None:
    """Of N candidates for each observation, the one whose larger twin Q_h is lowest is the action.

    Oracle: the same candidates drawn by `diffusion.sample`, judged by NumPy's twins, row by row.
    """
    parameters, key = of_nearly_the_noise(stacked, seed), jax.random.key(5)
    act = jax.jit(partial(agent.act, networks, acting=ACTING_BY_EIGHT))
    actions = np.asarray(act(parameters, data.observations, key))

    repeated = np.repeat(data.observations, CANDIDATES, axis=0)
    predict = partial(forward, networks.score, parameters.score, repeated)
    candidates = np.asarray(
        diffusion.sample(networks.noise_schedule, predict, key, (ROWS * CANDIDATES, 2))
    )
    q_h = twins(parameters.q_h, repeated, candidates).max(axis=0).reshape(ROWS, CANDIDATES)
    chosen = q_h.argmin(axis=1)
    expected = candidates.reshape(ROWS, CANDIDATES, 2)[np.arange(ROWS), chosen]
    np.testing.assert_allclose(actions, expected, rtol=1e-5, atol=1e-6)
    # The case means something: it is not always the first one, and the candidates differ.
    assert len(set(chosen)) > 2
    assert (np.diff(np.sort(q_h, axis=1)[:, :2]) > 1e-4).mean() > 0.8


def test_rows_of_a_batch_act_independently(
    networks: PolicyNetworks, stacked: PolicyParams, data: Transitions
) -> None:
    """Another observation in one row changes that row's action and no other."""
    parameters = of_nearly_the_noise(stacked, 0)
    act = jax.jit(partial(agent.act, networks, parameters, acting=ACTING_BY_EIGHT))
    other = data.observations.copy()
    other[1] += 0.5
    key = jax.random.key(6)
    first, second = (np.asarray(act(rows, key)) for rows in (data.observations, other))
    same = np.arange(len(other)) != 1
    np.testing.assert_array_equal(first[same], second[same])
    assert np.abs(first[1] - second[1]).max() > 1e-3


@pytest.mark.parametrize("sampler", ["ddpm", "dpm_solver_1"])
def test_one_candidate_is_a_plain_sample(
    loaded: tuple[PolicyNetworks, PolicyParams], data: Transitions, sampler: str
) -> None:
    """With N = 1 nothing is chosen: the action is the sample itself, by the sampler asked for."""
    networks, stacked = loaded
    parameters, key = of_seed(stacked, 0), jax.random.key(2)
    predict = partial(forward, networks.score, parameters.score, data.observations)
    sample, shape = diffusion.SAMPLERS[sampler], data.actions.shape
    drawn = jax.jit(lambda: sample(networks.noise_schedule, predict, key, shape))()
    acting = dataclasses.replace(ACTING_BY_EIGHT, N=1, sampler=sampler)
    act = jax.jit(partial(agent.act, networks, acting=acting))
    actions = act(parameters, data.observations, key)
    np.testing.assert_allclose(actions, drawn, atol=1e-5)


# Loading ------------------------------------------------------------------------------------------


def test_loaded_policy_acts_within_bounds_and_reproducibly(folder: Path, data: Transitions) -> None:
    """`act` gives `[B, action_dim]` in [-1, 1]; the same key gives the same again."""
    loaded = fisor.load_policy(folder, seed=1, N=3)
    actions = np.asarray(loaded.act(data.observations, jax.random.key(0)))
    assert actions.shape == (ROWS, 2)
    assert (np.abs(actions) <= 1).all()
    again = fisor.load_policy(folder, seed=1, N=3)
    np.testing.assert_array_equal(again.act(data.observations, jax.random.key(0)), actions)
    others = np.asarray(loaded.act(data.observations, jax.random.key(1)))
    assert (others != actions).any()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_feasible_value_is_that_seeds(
    folder: Path,
    data: Transitions,
    both_critics: tuple[TrainedCritic, TrainedCritic],
    seed: int,
) -> None:
    """`feasible_value` is V_h of the seed asked for, `[B]`, also for float64 observations.

    Oracle: V in NumPy from the critic's parameters.
    """
    values = load_policy(folder, seed=seed).feasible_value(data.observations.astype(np.float64))
    assert values.shape == (ROWS,)
    expected = mlp(of_seed(both_critics[0].v, seed), data.observations)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both_critics[0].values(data.observations)[seed], values, rtol=1e-5)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_feasible_action_value_is_the_larger_twin_of_that_seed(
    folder: Path,
    data: Transitions,
    both_critics: tuple[TrainedCritic, TrainedCritic],
    seed: int,
) -> None:
    """Q_h of any actions, `[B]`. Oracle: NumPy's twins from the critic's parameters."""
    values = load_policy(folder, seed=seed).feasible_action_value(data.observations, data.actions)
    expected = twins(of_seed(both_critics[0].q, seed), data.observations, data.actions).max(axis=0)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


def test_the_averaged_network_acts(stacked: PolicyParams, states: PolicyState) -> None:
    """What is saved is the moving average of the score network, not its latest weights."""
    jax.tree.map(np.testing.assert_array_equal, stacked.score, states.score_average)


def test_a_policy_acts_as_it_was_evaluated(folder: Path, data: Transitions) -> None:
    """Without a word, by the acting parameters beside it: as its agent by those, seed and row.

    Oracle: the agent itself, row by row with the keys that `Policy.step` says it splits.
    """
    policy = load_policy(folder, seed=1)
    key = jax.random.key(4)
    actions = policy.act(data.observations, key)
    same = load_agent(folder / TRAINED, BY_EIGHT)
    act = jax.jit(same.act)
    for row, row_key in list(enumerate(jax.random.split(key, ROWS)))[:3]:
        step = Step(data.observations[row], 0.0, 0.0, 0)
        action, memory = act(of_seed(same.params, 1), (), step, row_key)
        assert memory == ()
        np.testing.assert_allclose(actions[row], action, atol=1e-5)
    others = load_policy(folder, seed=1, N=1).act(data.observations, key)
    assert np.abs(np.asarray(others) - np.asarray(actions)).max() > 1e-3


def test_a_policy_acts_from_bfloat16_operands(folder: Path, data: Transitions) -> None:
    """Near what it does in float32, and not the same; its feasible values are unchanged."""
    key, policies = jax.random.key(4), []
    for precision in ("float32", "bfloat16"):
        policies.append(load_policy(folder, N=1, acting_precision=precision))
    exact, near = (np.asarray(policy.act(data.observations, key)) for policy in policies)
    assert 0 < np.abs(near - exact).mean() < 0.05
    q_h, same = (policy.feasible_action_value(data.observations, exact) for policy in policies)
    np.testing.assert_array_equal(q_h, same)
