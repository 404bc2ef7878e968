"""Rollouts in simulator processes: rows that depend on nothing but their seeds, and failures."""

import dataclasses
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from configured import section
from fake_environments import make_counting, make_failing
from fake_rollouts import LENGTHS, SEEDS, assert_equal, failing, on_ball_run, rolled

from fisor.agents import Agent, Step
from fisor.config.acting import Acting
from fisor.config.params import Params
from fisor.critics import trained
from fisor.envs.pool import MOST_FAILURES, SimulatorPool
from fisor.envs.suites import make_environment, suite
from fisor.errors import InputError
from fisor.evaluation.rollouts import Rollouts, roll_out
from fisor.evaluation.scores import episode_table, episodes_in_flight, evaluate
from fisor.policies import agent, diffusion, regression
from fisor.policies.stored import PolicyNetworks, PolicyParams


@pytest.fixture(scope="module")
def fresh_policy(small_params: Callable[..., Params]) -> Callable[..., Any]:
    """A function (obs_dim) -> a fresh small policy of two seeds and two actions."""
    params = small_params(seeds=SEEDS)

    def fresh(observation_dim: int) -> tuple[PolicyNetworks, PolicyParams]:
        network = dataclasses.replace(regression.score_network(2, params), dropout=0.0)
        definitions = trained.CriticNetworks.of_size(params.hidden_layers, params.hidden_units)

        def of_seed(key: jax.Array) -> PolicyParams:
            score = network.init_params(key, observation_dim)
            q, v = definitions.init_params(key, observation_dim, 2)
            return PolicyParams(score, q_h=q, v_h=v, q_r=q)

        schedule = diffusion.schedule(params.T)
        networks = PolicyNetworks(network, schedule, definitions, definitions)
        return networks, jax.vmap(of_seed)(jax.random.split(jax.random.key(3), SEEDS))

    return fresh


@pytest.fixture(scope="module")
def fresh_agent(fresh_policy: Callable[..., Any]) -> Callable[..., Agent]:
    """A function (obs_dim) -> the same as an agent of two candidates."""

    def fresh(observation_dim: int, sampler: str = "ddpm") -> Agent:
        networks, params = fresh_policy(observation_dim)
        acting = section(Acting, N=2, sampler=sampler)

        def act(params: Any, memory: tuple[()], step: Step, key: jax.Array) -> Any:
            return agent.act(networks, params, step.observation[None], key, acting)[0], memory

        return Agent(params, 2, tuple, act)

    return fresh


@pytest.fixture(scope="module")
def run(fresh_agent: Callable[..., Agent]) -> Callable[..., Rollouts]:
    """A function that rolls the small policy out in the fake environment."""
    return partial(rolled, fresh_agent(3))


@pytest.fixture(scope="module")
def whole(run: Callable[..., Rollouts]) -> Rollouts:
    """The rollouts that the others must equal."""
    return run(processes=2)


def children() -> set[int]:
    """Processes whose parent is this one."""
    return {
        int(line)
        for path in Path("/proc/self/task").glob("*/children")
        for line in path.read_text().split()
    }


def test_queue_of_unequal_lengths_by_hand(whole: Rollouts) -> None:
    """Seven episodes of a seed through three slots: each whole, under its own number."""
    table = episode_table(whole, on_ball_run(), LENGTHS, None, None).to_pydict()
    assert table["seed"] == [0] * 7 + [1] * 7
    assert table["episode"] == [*range(7)] * 2
    assert table["length"] == LENGTHS.tolist() * 2
    assert table["start"] == [[length, 0, 0] for length in LENGTHS] * 2
    # 2: 2 + 1/8 + 2 + 2/8; n steps: n^2 + n (n + 1) / 16.
    assert table["return"] == [4.375, 26.875, 9.75, 86.625, 1.125, 17.25, 26.875] * 2
    assert table["cost"] == table["violating_steps"] == [0, 1, 1, 3, 0, 1, 1] * 2
    assert table["first_violation"] == [None, 3, 3, 3, None, 3, 3] * 2
    for name in ("truly_feasible", "reached_goal", "left_box", "start_feasible_value"):
        assert table[name] == [None] * 14


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
    fresh_agent: Callable[..., Agent], whole: Rollouts, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process killed between two steps: noticed at the next one."""
    task = on_ball_run()
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
        rows = roll_out(fresh_agent(3), task, pool, reset_seeds=LENGTHS, in_flight=3)
        assert_equal(rows, whole)
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


def test_real_episodes_are_those_of_one_environment(
    fresh_policy: Callable[..., Any], fresh_agent: Callable[..., Agent]
) -> None:
    """BallRun, its horizon shortened: the policy's actions give the same in a lone environment.

    They are drawn by the sampler that is asked for, here not the default one.
    """
    task = on_ball_run(horizon_steps=20, episodes=3)
    rows = evaluate(fresh_agent(7, "dpm_solver_1"), task).to_pydict()
    networks, stacked = fresh_policy(7)
    assert rows["length"] == [20] * 6
    assert rows["reset_seed"] == [task.evaluation_seed + e for e in range(3)] * 2
    environment = make_environment(task)
    row = 4  # seed 1, episode 1
    observation, _ = environment.reset(seed=rows["reset_seed"][row])
    np.testing.assert_array_equal(observation, rows["start"][row])
    returned = 0.0
    of_seed = jax.tree.map(lambda leaf: leaf[1], stacked)
    for step in range(20):
        np.testing.assert_allclose(observation, rows["observations"][row][step], atol=1e-3)
        key = jax.random.key(task.evaluation_seed)
        for number in (1, 1, step):
            key = jax.random.fold_in(key, number)
        acting = section(Acting, N=2, sampler="dpm_solver_1")
        (action,) = agent.act(networks, of_seed, observation[None], key, acting)
        observation, reward, *_ = environment.step(np.asarray(action))
        returned += reward
    environment.close()
    assert returned == pytest.approx(rows["return"][row], rel=1e-3)


@pytest.mark.parametrize(
    ("episodes", "name", "expected"),
    [
        (20, "bullet_safety_gym", 10),
        (12, "bullet_safety_gym", 6),
        (3, "bullet_safety_gym", 3),
        (20, "metadrive", 2),
        (100, "point_robot", 25),
        (30, "point_robot", 15),
    ],
)
def test_waves_are_of_equal_sizes(episodes: int, name: str, expected: int) -> None:
    """At most 10 of a seed at once, of MetaDrive's 2, of PointRobot 25, in waves of equal sizes."""
    assert episodes_in_flight(episodes, suite(name)) == expected
