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
from configured import section
from interrupted_pool import interrupt
from project import ROOT

from fisor.collect import driving, exploring, learner
from fisor.collect.collect import collect
from fisor.collect.parts import WHOLE
from fisor.config.checking import checked
from fisor.config.data import AcquireStage, ConvertStage
from fisor.config.task import Acquire, Environment
from fisor.data import hdf5
from fisor.data.conversion import convert
from fisor.envs.pool import SimulatorPool
from fisor.envs.suites import make_environment
from fisor.errors import InputError

STREAMS = 4  # of 200 steps: a roll-out is 800, and each schedule gets two
CART = AcquireStage(
    name="Cart",
    suite="gymnasium",
    environment="example_environment:Cart-v0",
    horizon_steps=25,
    reference_returns=(-1.0, 2.5),
    acquire=Acquire(
        source="collect", environment_steps=8000, episodes=60, highest_cost=16.0, seed=3
    ),
)


@pytest.fixture(scope="module", autouse=True)
def small_rollouts() -> Iterator[None]:
    """Few streams and drivers, and for MetaDrive, whose engine starts slowly, one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "STREAMS", STREAMS)
        patch.setattr(driving, "EPISODES", 1)
        yield


def hdf5_bytes(folder: Path, task: AcquireStage = CART) -> bytes:
    fields = exploring.collect(task, folder / "unfinished")
    hdf5.write_hdf5(folder / "Cart.hdf5", fields)
    return (folder / "Cart.hdf5").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The cart's dataset of ten roll-outs, two of each schedule."""
    return hdf5_bytes(tmp_path_factory.mktemp("uninterrupted"))


def test_killed_and_resumed_gives_the_same_bytes(
    uninterrupted: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Stopped amid its fourth roll-out, the second learner goes on from its first one."""
    calls = interrupt(monkeypatch, at_call=5)
    with pytest.raises(KeyboardInterrupt):
        hdf5_bytes(tmp_path)
    assert len(list((tmp_path / "unfinished").glob("*/*"))) == 3
    assert hdf5_bytes(tmp_path) == uninterrupted
    assert len(calls) == 5 + 1 + 7
    said = capsys.readouterr().err
    assert f"going on from step 1600 in {tmp_path / 'unfinished/0'}" in said
    assert f"going on from step 800 in {tmp_path / 'unfinished/1'}" in said


def test_other_settings_start_from_nothing(
    uninterrupted: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What another seed collected is not continued, and its roll-outs are gone."""
    acquire = dataclasses.replace(CART.acquire, seed=4, environment_steps=800)
    other = dataclasses.replace(CART, acquire=acquire)
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
    changes: dict[str, Any] = {"reference_returns": (-1e6, 1e6)}
    acquire = {"source": "collect", "environment_steps": steps}
    if name == "easysparse":
        changes["horizon_steps"] = 15
    task = section(AcquireStage, name, acquire=acquire, **changes)
    fields = exploring.collect(task, tmp_path / "unfinished")
    hdf5.write_hdf5(tmp_path / "raw.hdf5", fields)
    convert(
        tmp_path / "raw.hdf5",
        tmp_path / "task.parquet",
        section(ConvertStage, name, acquire=acquire, **changes),
    )
    assert (fields["terminals"] | fields["timeouts"])[-1]
    assert np.abs(fields["actions"]).max() <= 1
    assert np.unique(fields["actions"][:, 0]).size > 10


def test_results_do_not_depend_on_the_number_of_processes() -> None:
    """Two processes and one give the same trajectories, in the order of the jobs."""
    schedule = {"schedule": 0, "share_steps": 800, "highest_cost": 16}
    explorer = learner.Learner(1, 1, **schedule, horizon_steps=25, discount=0.99, seed=0)
    jobs = explorer.jobs(explorer.init(), 0)[:5]
    results = []
    for processes in (1, 2):
        with SimulatorPool(CART, processes, processes=processes) as pool:
            results.append(pool.run(jobs))
    for one, two in zip(*results, strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)


def test_processes_load_no_jax_and_end_with_their_owner(tmp_path: Path) -> None:
    """A stage's simulators import no JAX; when it is killed, they end by themselves."""
    (tmp_path / "stage.py").write_text(
        textwrap.dedent(
            """
            import os, signal, sys
            from fisor.collect.episodes import sizes
            from fisor.envs.pool import SimulatorPool
            import stages.acquire

            if __name__ == "__main__":
                from test_collection_simulators import CART
                pool = SimulatorPool(CART, 1, processes=1)
                pool.run([sizes])
                pid = pool._workers[0]._process.pid
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
        pytest.fail("the simulator outlived its owner")


def test_refusals_of_a_process_reach_the_user(tmp_path: Path) -> None:
    """An environment that is not there is an `InputError` of the stage, not of a process."""
    task = dataclasses.replace(CART, environment="example_environment:Nope-v0")
    with pytest.raises(InputError, match="gymnasium has no environment"):
        exploring.collect(task, tmp_path)


def test_bounds_that_no_episode_meets_are_named(tmp_path: Path) -> None:
    """Nothing to keep: the message says what was seen and which bounds left it out."""
    acquire = dataclasses.replace(CART.acquire, environment_steps=1)
    task = dataclasses.replace(CART, reference_returns=(100.0, 200.0), acquire=acquire)
    with pytest.raises(InputError, match=r"Cart: none of 160 episodes .* reference_returns 100"):
        exploring.collect(task, tmp_path)


ACQUIRE = {
    "source": "collect",
    "environment_steps": 10,
    "episodes": 5,
    "highest_cost": 16,
    "seed": 0,
}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"source": "elsewhere"}, "source` must be 'dsrl' or 'collect', not 'elsewhere'"),
        ({"source": "dsrl"}, "must hold `file` for `source: dsrl`"),
        ({"file": "../x.hdf5"}, "file` must match pattern"),
        ({"speed": 1}, r"unknown key `BallRun\.acquire\.speed`; known: source, file"),
        ({"environment_steps": 0}, "environment_steps` must be greater than or equal to 1, not 0"),
        ({"environment_steps": 1e6}, "environment_steps` must be a valid integer"),
        ({"environment_steps": None}, "must hold `environment_steps` for `source: collect`"),
        ({"episodes": True}, "episodes` must be a valid integer"),
        ({"highest_cost": 0}, "highest_cost` must be greater than 0"),
        ({"discount": 1}, "discount` must be less than 1"),
        ({"seed": -1}, "seed` must be greater than or equal to 0"),
        ({"transitions": 1}, "transitions` must be greater than or equal to 2"),
    ],
)
def test_wrong_settings_are_named(change: dict[str, Any], problem: str) -> None:
    """Unknown, missing, mistyped and out-of-range settings are refused with the task's name."""
    assert checked(Acquire, ACQUIRE, "tasks.yaml", "BallRun.acquire").discount == 0.99
    with pytest.raises(InputError, match=problem) as raised:
        checked(Acquire, ACQUIRE | change, "tasks.yaml", "BallRun.acquire")
    assert str(raised.value).startswith("tasks.yaml: ")
    assert "BallRun.acquire" in str(raised.value)


def test_settings_of_another_behaviour_are_refused(tmp_path: Path) -> None:
    """A script collects transitions, a learner steps: what is missing is named by the task."""
    learners = {"transitions": None, "environment_steps": 5, "episodes": 1, "highest_cost": 1.0}
    scripted = section(AcquireStage, "PointRobot", acquire=learners)
    with pytest.raises(InputError, match=r"`PointRobot\.acquire` must hold `transitions`"):
        collect(scripted, WHOLE, tmp_path)
    script = dataclasses.replace(CART.acquire, environment_steps=None, transitions=10)
    learned = dataclasses.replace(CART, acquire=script)
    with pytest.raises(InputError, match=r"`Cart\.acquire` must hold `environment_steps`"):
        collect(learned, WHOLE, tmp_path)


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
        made = make_environment(
            Environment(name="Cart", suite="gymnasium", environment=environment, horizon_steps=25)
        )
        made.reset(seed=0)
        made.step(np.zeros(1))
