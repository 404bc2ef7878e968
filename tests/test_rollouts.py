"""Rollouts in simulator processes: rows that depend on nothing but their seeds, and failures."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np
import pytest
from fake_environments import make_counting, make_failing
from simulated import task_of

from fisor import acting, critics, diffusion, policy
from fisor.acting import PolicyNetworks, PolicyParams
from fisor.envs import Episode, make_environment
from fisor.envs.pool import MOST_FAILURES, SimulatorPool
from fisor.errors import InputError
from fisor.evaluation import episode_table, episodes_in_flight, evaluate
from fisor.params import Params
from fisor.rollouts import Rollouts, roll_out
from fisor.tasks import Task

LENGTHS = np.array([2, 5, 3, 9, 1, 4, 5])  # the reset seeds of the fake environment
SEEDS = 2


@pytest.fixture(scope="module")
def fresh_policy(small_params: Callable[..., Params]) -> Callable[[int], Any]:
    """A function (obs_dim) -> a fresh small policy of two seeds and two actions."""
    params = small_params(seeds=SEEDS)

    def fresh(observation_dim: int) -> tuple[PolicyNetworks, PolicyParams]:
        network = dataclasses.replace(policy.score_network(2, params), dropout=0.0)
        definitions = critics.CriticNetworks.of_size(params.hidden_layers, params.hidden_units)

        def of_seed(key: jax.Array) -> PolicyParams:
            score = network.init_params(key, observation_dim)
            return PolicyParams(score, *definitions.init_params(key, observation_dim, 2))

        networks = PolicyNetworks(network, diffusion.schedule(params.T), definitions)
        return networks, jax.vmap(of_seed)(jax.random.split(jax.random.key(3), SEEDS))

    return fresh


@pytest.fixture(scope="module")
def run(fresh_policy: Callable[[int], Any]) -> Callable[..., Rollouts]:
    """A function that rolls the small policy out in the fake environment."""

    def rolled(
        task: Task | None = None,
        in_flight: int = 3,
        make: Callable[[Task], gymnasium.Env] = make_counting,
        **options: Any,
    ) -> Rollouts:
        task = task or task_of("BallRun", record_observations=True)
        with SimulatorPool(task, SEEDS * in_flight, make=make, **options) as pool:
            return roll_out(
                *fresh_policy(3),
                task,
                pool,
                reset_seeds=LENGTHS,
                in_flight=in_flight,
                candidates=2,
                seed=11,
            )

    return rolled


@pytest.fixture(scope="module")
def whole(run: Callable[..., Rollouts]) -> Rollouts:
    """The rollouts that the others must equal."""
    return run(processes=2)


def failing(what: str, marker: Path | str = "") -> Task:
    return task_of("BallRun", environment=f"{what}:{marker}", record_observations=True)


def children() -> set[int]:
    """Processes whose parent is this one."""
    return {
        int(line)
        for path in Path("/proc/self/task").glob("*/children")
        for line in path.read_text().split()
    }


def assert_equal(first: Rollouts, second: Rollouts) -> None:
    """Equal bit by bit."""
    for name, mine, other in zip(Rollouts._fields, first, second, strict=True):
        np.testing.assert_array_equal(mine, other, err_msg=name)


def test_queue_of_unequal_lengths_by_hand(whole: Rollouts) -> None:
    """Seven episodes of a seed through three slots: each whole, under its own number."""
    table = episode_table(whole, task_of("BallRun"), "FISOR", LENGTHS, None).to_pydict()
    assert table["seed"] == [0] * 7 + [1] * 7
    assert table["episode"] == [*range(7)] * 2
    assert table["length"] == LENGTHS.tolist() * 2
    assert table["start"] == [[length, 0, 0] for length in LENGTHS] * 2
    # 2: 2 + 1/8 + 2 + 2/8; n steps: n^2 + n (n + 1) / 16.
    assert table["return"] == [4.375, 26.875, 9.75, 86.625, 1.125, 17.25, 26.875] * 2
    assert table["cost"] == table["violating_steps"] == [0, 1, 1, 3, 0, 1, 1] * 2
    assert table["first_violation"] == [None, 3, 3, 3, None, 3, 3] * 2
    assert table["truly_feasible"] == table["reached_goal"] == [None] * 14


def test_seeds_and_episodes_act_each_in_their_own_way(whole: Rollouts) -> None:
    """Two episodes of one length differ by their actions, and so do two seeds."""
    assert whole.observations is not None
    pushed = whole.observations[4, :, :, 2]  # the sum of four actions
    assert len({*pushed[:, 1], *pushed[:, 6]}) == 4


@pytest.mark.parametrize("processes", [1, 3, 6])
def test_rows_do_not_depend_on_the_processes(
    processes: int, run: Callable[..., Rollouts], whole: Rollouts
) -> None:
    """One process, some, or one for each slot: the same bits."""
    assert_equal(run(processes=processes), whole)


@pytest.mark.parametrize("in_flight", [1, 7])
def test_rows_do_not_depend_on_the_slots(
    in_flight: int, run: Callable[..., Rollouts], whole: Rollouts
) -> None:
    """Another number of episodes in flight: the same episodes, but for a product's last bits."""
    other = run(in_flight=in_flight, processes=2)
    np.testing.assert_array_equal(other.rewards, whole.rewards)
    np.testing.assert_allclose(other.observations, whole.observations, atol=1e-4)


@pytest.mark.parametrize(
    ("what", "cause"),
    [
        ("die", "its process ended (SIGKILL)"),
        ("raise", "ArithmeticError('the world fell apart')"),
        ("hang", "no answer within 6 s"),
    ],
)
def test_failure_is_told_and_leaves_no_trace(
    what: str,
    cause: str,
    run: Callable[..., Rollouts],
    whole: Rollouts,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A process fails in an episode's middle: a message, and then the same rows."""
    task = failing(what, tmp_path / "failed")
    timeout = 6 if what == "hang" else 60  # within which a process starts, too
    rows = run(task, make=make_failing, processes=2, timeout_seconds=timeout)
    assert_equal(rows, whole)
    assert cause in capsys.readouterr().err


def test_message_names_task_seed_episode_and_cause(
    run: Callable[..., Rollouts], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one process, seed 0's episode 1 is the first to fail; all six slots start again."""
    run(failing("die", tmp_path / "failed"), make=make_failing, processes=1)
    assert (
        "BallRun: the simulator failed in seed 0, episode 1 (reset seed 5): its process ended "
        "(SIGKILL); its process starts anew, and in it this episode and "
    ) in capsys.readouterr().err


def test_killed_from_outside_gives_the_same_rows(
    fresh_policy: Callable[[int], Any], whole: Rollouts, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process killed between two steps: noticed at the next one."""
    task = task_of("BallRun", record_observations=True)
    with SimulatorPool(task, SEEDS * 3, make=make_counting, processes=2) as pool:
        calls, advance = 0, pool.advance

        def killing(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3:
                process = pool._workers[1]._process
                assert process is not None
                os.kill(process.pid, 9)
                process.wait()
            return advance(*arguments)

        pool.advance = killing  # type: ignore[method-assign]
        settings = {"reset_seeds": LENGTHS, "in_flight": 3, "candidates": 2, "seed": 11}
        assert_equal(roll_out(*fresh_policy(3), task, pool, **settings), whole)
    assert "its process ended (SIGKILL)" in capsys.readouterr().err


def test_episode_that_always_fails_is_named(run: Callable[..., Rollouts]) -> None:
    """After three failures it is an error, and no process is left."""
    before = children()
    expected = r"BallRun: .* seed 0, episode 1 \(reset seed 5\): Arithmetic.* failed 3 times"
    assert MOST_FAILURES == 3
    with pytest.raises(InputError, match=expected):
        run(failing("raise"), make=make_failing, processes=1)
    assert children() == before


def test_numbers_that_are_none_are_refused(run: Callable[..., Rollouts]) -> None:
    """NaN from a simulator: an error that names the episode, and no process is left."""
    before = children()
    with pytest.raises(InputError, match="BallRun: observations not finite in seed 0, episode 1"):
        run(failing("nan"), make=make_failing, processes=2)
    assert children() == before


def test_missing_simulator_is_not_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong with the table of tasks is said at once, in the adapter's words."""
    task = task_of("BallRun", environment="Nowhere-v0")
    with SimulatorPool(task, 1) as pool, pytest.raises(InputError, match="no environment `Now"):
        pool.advance({0: Episode(0, 0, 0)}, np.zeros(1, bool), np.zeros((1, 2)))
    assert "failed" not in capsys.readouterr().err


def test_processes_end_with_their_parent(run: Callable[..., Rollouts]) -> None:
    """A process whose pipe is at its end stops by itself."""
    with SimulatorPool(task_of("BallRun"), 1, make=make_counting) as pool:
        pool.advance({0: Episode(0, 0, 5)}, np.zeros(1, bool), np.zeros((1, 2)))
        worker = pool._workers[0]
        process = worker._process
        assert process is not None
        worker.pipe.close()
        assert process.wait(timeout=20) == 0


def test_processes_do_without_jax() -> None:
    """A simulator process imports no JAX: it starts fast, and many of them fit in memory."""
    with SimulatorPool(task_of("BallRun"), 1) as pool:
        pool.advance({0: Episode(0, 0, 5)}, np.zeros(1, bool), np.zeros((1, 2)))
        process = pool._workers[0]._process
        assert process is not None
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
    assert "pybullet" in mapped
    assert "jaxlib" not in mapped


def test_real_episodes_are_those_of_one_environment(
    fresh_policy: Callable[[int], Any], small_params: Callable[..., Params]
) -> None:
    """BallRun, its horizon shortened: the policy's actions give the same in a lone environment.

    They are drawn by the sampler that params.yaml asks for, here not the default one.
    """
    task = task_of("BallRun", horizon_steps=20, record_observations=True)
    networks, stacked = fresh_policy(7)
    settings = small_params(seeds=SEEDS, episodes=3, N=2, sampler="dpm_solver_1")
    rows = evaluate(networks, stacked, task, "FISOR", settings).to_pydict()
    networks = networks._replace(sampler="dpm_solver_1")
    assert rows["length"] == [20] * 6
    assert rows["reset_seed"] == [settings.evaluation_seed + e for e in range(3)] * 2
    environment = make_environment(task)
    row = 4  # seed 1, episode 1
    observation, _ = environment.reset(seed=rows["reset_seed"][row])
    np.testing.assert_array_equal(observation, rows["start"][row])
    returned = 0.0
    of_seed = jax.tree.map(lambda leaf: leaf[1], stacked)
    for step in range(20):
        np.testing.assert_allclose(observation, rows["observations"][row][step], atol=1e-3)
        key = jax.random.key(settings.evaluation_seed)
        for number in (1, 1, step):
            key = jax.random.fold_in(key, number)
        (action,) = acting.act(networks, of_seed, observation[None], key, candidates=2)
        observation, reward, *_ = environment.step(np.asarray(action))
        returned += reward
    environment.close()
    assert returned == pytest.approx(rows["return"][row], rel=1e-3)


@pytest.mark.parametrize(
    ("name", "episodes", "expected"),
    [("BallRun", 20, 10), ("BallRun", 12, 6), ("BallRun", 3, 3), ("easymean", 20, 2)],
)
def test_waves_are_of_equal_sizes(name: str, episodes: int, expected: int) -> None:
    """At most ten of a seed at once, two of MetaDrive's, none of them in a small last wave."""
    assert episodes_in_flight(task_of(name), episodes) == expected
