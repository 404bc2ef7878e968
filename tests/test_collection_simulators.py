"""Collections from simulators: bytes that repeat, killed and resumed or not; real ones in small."""

import dataclasses
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from project import ROOT
from simulated import task_of

from fisor import datasets
from fisor.collect import driving, learner, simulators
from fisor.collect.episodes import Job, Workers, workers
from fisor.collect.settings import SimulatorSettings, simulator_settings
from fisor.conversion import convert
from fisor.envs import make_environment
from fisor.errors import InputError
from fisor.tasks import Task

CART = Task(
    name="Cart",
    paper=False,
    suite="gymnasium",
    environment="example_environment:Cart-v0",
    horizon_steps=25,
    cost_limit=1,
    reference_returns=(-1.0, 2.5),
    dense_violation=False,
    record_observations=False,
    acquire={"source": "collect"},
    overrides={},
)
STREAMS = 4  # of 200 steps: a roll-out is 800, and each schedule gets one
SETTINGS = SimulatorSettings(environment_steps=4000, episodes=60, highest_cost=16, seed=3)


@pytest.fixture(scope="module", autouse=True)
def small_rollouts() -> Iterator[None]:
    """Few streams and drivers, and for MetaDrive, whose engine starts slowly, one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "STREAMS", STREAMS)
        patch.setattr(driving, "EPISODES", 1)
        yield


def hdf5_bytes(folder: Path, settings: SimulatorSettings = SETTINGS) -> bytes:
    fields = simulators.collect(CART, settings, folder / "unfinished")
    datasets.write_hdf5(folder / "Cart.hdf5", fields)
    return (folder / "Cart.hdf5").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The cart's dataset of five roll-outs, one of each schedule."""
    return hdf5_bytes(tmp_path_factory.mktemp("uninterrupted"))


def test_killed_and_resumed_gives_the_same_bytes(
    uninterrupted: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Stopped amid its third roll-out, it goes on from the second and ends the same."""
    run = Workers.run
    calls = []

    def failing(self: Workers, jobs: list[Job]) -> Any:
        calls.append(jobs)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run(self, jobs)

    monkeypatch.setattr(Workers, "run", failing)
    with pytest.raises(KeyboardInterrupt):
        hdf5_bytes(tmp_path)
    assert len(list((tmp_path / "unfinished").glob("*"))) == 2
    assert hdf5_bytes(tmp_path) == uninterrupted
    assert len(calls) == 3 + 3
    assert "going on from step 1600" in capsys.readouterr().err


def test_other_settings_start_from_nothing(
    uninterrupted: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What another seed collected is not continued, and its roll-outs are gone."""
    other = SETTINGS._replace(seed=4, environment_steps=800)
    assert hdf5_bytes(tmp_path, other) != uninterrupted
    assert hdf5_bytes(tmp_path) == uninterrupted
    assert "of other settings or code; collecting from nothing" in capsys.readouterr().err


def test_fields_are_whole_episodes(uninterrupted: bytes, tmp_path: Path) -> None:
    """60 episodes that hang together: next observations, ends, applied actions, bounds."""
    (tmp_path / "Cart.hdf5").write_bytes(uninterrupted)
    with h5py.File(tmp_path / "Cart.hdf5") as file:
        fields = {name: values[...] for name, values in file.items()}
    assert fields.keys() == {
        *("observations", "actions", "next_observations"),
        *("rewards", "costs", "terminals", "timeouts"),
    }
    assert fields["observations"].shape == (60 * 25, 1)
    assert fields["observations"].dtype == np.float32
    assert np.flatnonzero(fields["timeouts"]).tolist() == list(range(24, 60 * 25, 25))
    assert not fields["terminals"].any()
    assert np.abs(fields["actions"]).max() == 1
    going_on = ~fields["timeouts"][:-1]
    np.testing.assert_array_equal(
        fields["next_observations"][:-1][going_on], fields["observations"][1:][going_on]
    )
    moved = (fields["next_observations"] - fields["observations"])[:, 0]
    np.testing.assert_allclose(moved, fields["rewards"], atol=1e-6)
    np.testing.assert_allclose(moved, 0.1 * fields["actions"][:, 0], atol=1e-6)
    np.testing.assert_array_equal(fields["costs"] > 0, fields["next_observations"][:, 0] > 1)
    assert fields["costs"].reshape(60, 25).sum(1).max() <= 16
    assert fields["rewards"].reshape(60, 25).sum(1).min() >= -1


@pytest.mark.parametrize(
    ("name", "steps"), [("BallRun", 800), ("easysparse", 1)], ids=["learner", "driver"]
)
def test_real_simulator(
    name: str, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small collection from a real simulator converts to Parquet as any dataset does."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    acquire = {**task_of(name).acquire, "source": "collect", "environment_steps": steps}
    task = task_of(name, acquire=acquire, reference_returns=(-1e6, 1e6))
    if name == "easysparse":
        task = dataclasses.replace(task, horizon_steps=15)
    settings = simulator_settings(task)
    fields = simulators.collect(task, settings, tmp_path / "unfinished")
    datasets.write_hdf5(tmp_path / "raw.hdf5", fields)
    convert(tmp_path / "raw.hdf5", tmp_path / "task.parquet", task, drop_bad_rows=False)
    assert (fields["terminals"] | fields["timeouts"])[-1]
    assert np.abs(fields["actions"]).max() <= 1
    assert np.unique(fields["actions"][:, 0]).size > 10


def test_results_do_not_depend_on_the_number_of_workers() -> None:
    """Two workers and one give the same trajectories, in the order of the jobs."""
    explorer = learner.Learner(1, 1, horizon_steps=25, highest_cost=16, discount=0.99, seed=0)
    jobs = explorer.jobs(explorer.init(), 0)[:5]
    results = []
    for processes in (1, 2):
        started = Workers()
        started.start(CART, processes)
        results.append(started.run(jobs))
        started.close()
    for one, two in zip(*results, strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)


def test_workers_load_no_jax_and_end_with_their_owner(tmp_path: Path) -> None:
    """A stage's workers import no JAX; when it is killed, they end by themselves."""
    (tmp_path / "stage.py").write_text(
        textwrap.dedent(
            """
            import os, signal, sys
            from fisor.collect.episodes import Workers
            import stages.acquire

            if __name__ == "__main__":
                from test_collection_simulators import CART
                started = Workers()
                started.start(CART, 1)
                pid = started._processes[0].pid
                print(pid, "libjax" in open(f"/proc/{pid}/maps").read(), flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
            """
        )
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    result = subprocess.run(
        [sys.executable, "stage.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout, result.stderr
    pid, has_jax = result.stdout.split()
    assert has_jax == "False"
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("the worker outlived its owner")


def test_refusals_of_a_worker_reach_the_user() -> None:
    """An environment that is not there is an `InputError` of the stage, not of a process."""
    task = dataclasses.replace(CART, environment="example_environment:Nope-v0")
    with pytest.raises(InputError, match="gymnasium has no environment"), workers(task):
        pass


def test_bounds_that_no_episode_meets_are_named(tmp_path: Path) -> None:
    """Nothing to keep: the message says what was seen and which bounds left it out."""
    task = dataclasses.replace(CART, reference_returns=(100.0, 200.0))
    settings = SETTINGS._replace(environment_steps=1)
    with pytest.raises(InputError, match=r"Cart: none of 32 episodes .* reference_returns 100"):
        simulators.collect(task, settings, tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"source": "dsrl"}, "source: must be `collect`"),
        ({"speed": 1}, "unknown key `speed`"),
        ({"environment_steps": 0}, "environment_steps: must be a whole number >= 1, not 0"),
        ({"environment_steps": 1e6}, "environment_steps: must be a whole number"),
        ({"episodes": True}, "episodes: must be a whole number"),
        ({"highest_cost": 0}, "highest_cost: must be above 0"),
        ({"discount": 1}, "discount: must be above 0 and below 1"),
        ({"seed": -1}, "seed: must be a whole number >= 0"),
    ],
)
def test_wrong_settings_are_named(change: dict[str, Any], problem: str) -> None:
    """Unknown, mistyped and out-of-range settings are refused with the task's name."""
    task = task_of("BallRun")
    acquire = {**task.acquire, "source": "collect", **change}
    with pytest.raises(InputError, match=rf"BallRun\.acquire.*{problem}"):
        simulator_settings(dataclasses.replace(task, acquire=acquire))


def test_settings_of_the_table_are_read() -> None:
    """An entry serves both sources: the name of DSRL's file does no harm."""
    for name, discount in (("BallRun", 0.99), ("SwimmerVelocity", 0.9999)):
        task = task_of(name)
        task = dataclasses.replace(task, acquire={**task.acquire, "source": "collect"})
        assert simulator_settings(task).discount == discount
    missing = {key: value for key, value in task.acquire.items() if key != "episodes"}
    with pytest.raises(InputError, match="`episodes` is missing"):
        simulator_settings(dataclasses.replace(task, acquire=missing))


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ("no_such_module:Cart-v0", "no_such_module"),
        ("CartPole-v1", "its actions must be a Box"),
        ("Pendulum-v1", "no `cost`"),
    ],
)
def test_unfit_gymnasium_environments_are_named(environment: str, problem: str) -> None:
    """A module or cost that is not there, or actions that are no vectors."""
    with pytest.raises(InputError, match=problem):  # noqa: PT012 (the last fails at its first step)
        made = make_environment(dataclasses.replace(CART, environment=environment))
        made.reset(seed=0)
        made.step(np.zeros(1))
