"""The one-step policy: the sampler as a function of its noise, what is learned from it, acting."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configured import configured
from drawn_critics import of_seed, unlike_critics
from oracles import drawn_params, twins

from fisor.agents import TRAINED, load_policy
from fisor.config.distillation import Distillation
from fisor.config.params import Params
from fisor.critics.trained import TrainedCritic
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn import checkpoint
from fisor.nn.networks import forward
from fisor.policies import diffusion, distillation, stored
from fisor.policies.one_step import OneStepNetwork
from fisor.policies.score_network import ScoreNetwork
from fisor.training.fit import fit

SEEDS, ROWS, LEVELS = 2, 30, 3
ACTING = {
    "N": 8, "sampler": "ddpm", "acting_precision": "float32", "acting_rule": "lowest_violation",
    "margin": 0.0, "proposals": 0,
}  # fmt: skip
TEACHER = ScoreNetwork(2, LEVELS, 1, 8, 0.0)


def config(**changes: Any) -> Distillation:
    """FISOR-OneStep's parameters with changes."""
    small: dict[str, Any] = {"seeds": SEEDS, "hidden_units": 16, "teacher_samples": 64}
    small |= {"batch_size": 8, "training_steps": 4, "log_every_updates": 4}
    return configured("FISOR-OneStep", "train", Distillation, **small | changes)


@pytest.fixture(scope="module")
def data(random_transitions: Callable[..., Transitions]) -> Transitions:
    return random_transitions(ROWS)


@pytest.fixture(scope="module")
def teacher_params() -> Any:
    """Score networks of two seeds."""
    return drawn_params(lambda key: TEACHER.init_params(key, 3), 5, SEEDS)


def taught_by(params: Any, data: Transitions, **changes: Any) -> Any:
    """What `teach` makes: (observations, noise), actions."""
    own = config(**changes)
    network = distillation.student(own, TEACHER)
    return distillation.teach(network, TEACHER, params, data.observations, own.teacher_samples)


# The sampler as a function of its noise -----------------------------------------------------------


@pytest.mark.parametrize(("sampler", "draws"), [("ddpm", LEVELS), ("dpm_solver_1", 1)])
@pytest.mark.parametrize("T", [1, LEVELS])
def test_given_the_noise_of_a_key_a_sampler_draws_the_same(
    sampler: str, draws: int, T: int, teacher_params: Any, data: Transitions
) -> None:
    """The noise of a key, handed in, gives the actions of that key; it is all that is random.

    To 1e-5: another program may round otherwise.
    """
    network = ScoreNetwork(2, T, 1, 8, 0.0)  # T is no part of the parameters' shapes
    predict = partial(forward, network, of_seed(teacher_params, 1), data.observations)
    schedule, key, shape = diffusion.schedule(T), jax.random.key(9), (ROWS, 2)
    by_key = jax.jit(lambda: diffusion.SAMPLERS[sampler](schedule, predict, key, shape))()
    of_noise = diffusion.OF_NOISE[sampler]
    act = jax.jit(partial(of_noise.actions, schedule, predict))
    noise = of_noise.noise(key, T, shape)
    given = act(noise)
    assert noise.shape == (ROWS, min(draws, T), 2)
    np.testing.assert_allclose(given, by_key, atol=1e-5)
    assert np.asarray(given).std() > 0.1
    for entry in range(noise.shape[1]):  # every one of them counts
        other = np.asarray(act(noise.at[:, entry].add(0.5)))
        assert np.abs(other - given).max() > 1e-3


# Learning -----------------------------------------------------------------------------------------


def test_the_loss_by_hand() -> None:
    """(0.5 - 0)^2 + (-1 - 1)^2 = 4.25."""
    assert float(distillation.loss(jnp.array([0.5, -1.0]), jnp.array([0.0, 1.0]))) == 4.25


@pytest.mark.parametrize("sampler", ["ddpm", "dpm_solver_1"])
def test_the_teacher_acts_on_rows_of_the_dataset(
    sampler: str, teacher_params: Any, data: Transitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each action is that seed's sampler's, for the state and the noise beside it.

    Oracle: the sampler on all rows at once, of one seed; `teach` goes in blocks, the last shorter.
    """
    monkeypatch.setattr(distillation, "ROWS_AT_ONCE", 7)
    (states, noise), actions = taught_by(teacher_params, data, sampler=sampler)
    known = {row.tobytes() for row in data.observations}
    drawn = {row.tobytes() for row in states}
    assert drawn <= known
    assert len(drawn) > ROWS / 2
    assert np.unique(noise).size == noise.size
    for seed in range(SEEDS):
        predict = partial(forward, TEACHER, of_seed(teacher_params, seed), states)
        of_noise = diffusion.OF_NOISE[sampler]
        act = jax.jit(partial(of_noise.actions, diffusion.schedule(LEVELS), predict))
        expected = act(noise)
        np.testing.assert_allclose(actions[seed], expected, atol=1e-4)
    assert np.abs(actions[0] - actions[1]).max() > 0.1


def trained(own: Distillation, params: Any, data: Transitions) -> tuple[OneStepNetwork, Any]:
    """The network and the parameters of every seed."""
    network = distillation.student(own, TEACHER)
    seen, taught = distillation.teach(
        network, TEACHER, params, data.observations, own.teacher_samples
    )
    fresh, step = distillation.init(own, network, 3), distillation.update(own, network)
    states, _ = fit(fresh, step, seen, taught, config=own, batch_size=own.batch_size, name="")
    return network, states.params


def test_a_seed_does_not_depend_on_the_others(teacher_params: Any, data: Transitions) -> None:
    """Trained alone, the first seed has the same numbers as beside a second one."""
    _, both = trained(config(), teacher_params, data)
    first = jax.tree.map(lambda leaf: leaf[:1], teacher_params)
    _, alone = trained(config(seeds=1), first, data)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b[0]), alone, both)


@pytest.mark.parametrize("sampler", ["ddpm", "dpm_solver_1"])
def test_the_sampler_is_learned(sampler: str, teacher_params: Any, data: Transitions) -> None:
    """On noise that it has not seen, its error is below half of the sampler's own spread.

    The spread is that of the actions over the noise in one state, root mean square over states: the
    least error of a network that does not look at the noise.
    """
    first = jax.tree.map(lambda leaf: leaf[:1], teacher_params)
    sizes: dict[str, Any] = {"hidden_layers": 2, "hidden_units": 64, "batch_size": 64}
    sizes |= {"training_steps": 2000, "log_every_updates": 1000, "teacher_samples": 20_000}
    own = config(seeds=1, sampler=sampler, **sizes)
    network, params = trained(own, first, data)
    states = np.repeat(data.observations, 64, axis=0)
    noise = network.draw_noise(jax.random.key(77), len(states))
    predict = partial(forward, TEACHER, of_seed(first, 0), states)
    of_noise = diffusion.OF_NOISE[sampler]
    taught = np.asarray(
        jax.jit(partial(of_noise.actions, diffusion.schedule(LEVELS), predict))(noise)
    )
    learned = np.clip(forward(network, of_seed(params, 0), states, noise), -1, 1)
    spread = np.sqrt((taught.reshape(ROWS, 64, 2).std(axis=1) ** 2).mean())
    error = np.sqrt(((learned - taught) ** 2).mean())
    assert spread > 0.1
    assert error < spread / 2


# Acting -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def critics(
    tmp_path_factory: pytest.TempPathFactory,
    small_params: Callable[..., Params],
    data: Transitions,
) -> tuple[TrainedCritic, TrainedCritic]:
    return unlike_critics(tmp_path_factory.mktemp("critics"), small_params(seeds=SEEDS), data)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, critics: tuple[TrainedCritic, TrainedCritic]
) -> Path:
    """A saved one-step policy of drawn weights."""
    network, folder = distillation.student(config(), TEACHER), tmp_path_factory.mktemp("policy")
    params = drawn_params(lambda key: network.init_params(key, 3), 6, SEEDS)
    (folder / TRAINED).mkdir()
    written = distillation.checkpoint_config(config(), network, 3) | {"agent": "FISOR"}
    stored.save(folder / TRAINED, params, *critics, written)
    return folder


def layers(params: Any, inputs: np.ndarray) -> np.ndarray:
    """ReLU layers and a linear one in NumPy."""
    (network,) = params["params"].values()
    for index in range(len(network)):
        layer = network[f"Dense_{index}"]
        inputs = inputs @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
        inputs = np.maximum(inputs, 0) if index < len(network) - 1 else inputs
    return inputs


def test_the_candidate_of_lowest_feasible_value_acts(
    folder: Path, critics: tuple[TrainedCritic, TrainedCritic], data: Transitions
) -> None:
    """Of N actions by the network, each from noise of its own, Q_h chooses, as for its teacher.

    Oracle: the network and the twins in NumPy, from the noise of the keys that `step` splits.
    """
    policy = load_policy(folder, seed=1, **ACTING)
    key = jax.random.key(4)
    actions = np.asarray(policy.act(data.observations, key))
    params = checkpoint.load(
        folder / TRAINED,
        lambda: jax.vmap(lambda k: distillation.student(config(), TEACHER).init_params(k, 3))(
            jax.random.split(key, SEEDS)
        ),
    )
    network, chosen = distillation.student(config(), TEACHER), set()
    for row, row_key in enumerate(jax.random.split(key, ROWS)):
        noise = np.asarray(network.draw_noise(row_key, 8))
        states = np.repeat(data.observations[row : row + 1], 8, axis=0)
        inputs = np.concatenate([states, noise.reshape(8, -1)], axis=1)
        candidates = np.clip(layers(of_seed(params, 1), inputs), -1, 1)
        best = twins(of_seed(critics[0].q, 1), states, candidates).max(axis=0).argmin()
        np.testing.assert_allclose(actions[row], candidates[best], atol=1e-5)
        chosen.add(best)
    assert len(chosen) > 2


def test_it_has_the_feasible_values_of_its_critics(
    folder: Path, critics: tuple[TrainedCritic, TrainedCritic], data: Transitions
) -> None:
    """V_h and Q_h, for the monitor. Oracle: the twins in NumPy, and the critic's own values."""
    policy = load_policy(folder, seed=1, **ACTING)
    values = policy.feasible_value(data.observations)
    np.testing.assert_allclose(values, critics[0].values(data.observations)[1], rtol=1e-5)
    q_h = twins(of_seed(critics[0].q, 1), data.observations, data.actions).max(axis=0)
    of_actions = policy.feasible_action_value(data.observations, data.actions)
    np.testing.assert_allclose(of_actions, q_h, rtol=1e-5, atol=1e-6)


def test_a_folder_without_its_sampler_is_refused(folder: Path, tmp_path: Path) -> None:
    """config.json must say whose noise the network takes."""
    copied = Path(shutil.copytree(folder, tmp_path / "policy"))
    written = checkpoint.load_config(copied / TRAINED) | {"sampler": "euler"}
    (copied / TRAINED / checkpoint.CONFIG).write_text(json.dumps(written))
    with pytest.raises(InputError, match="one_step with a known `sampler`"):
        load_policy(copied, **ACTING)
