"""DSRL's 38 tasks through their adapters: sizes, time limit, cost, bounds, errors, silence."""

import builtins
import sys
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from project import ROOT, checked, run
from simulated import task_of

from fisor.envs.simulators import SimulatedEnv, Transition, importing, quiet
from fisor.envs.suites import make_environment
from fisor.errors import InputError

# Sizes of observations and actions in DSRL's files.
SIZES = {
    "AntCircle": (34, 8),
    "AntRun": (33, 8),
    "BallCircle": (8, 2),
    "BallRun": (7, 2),
    "CarCircle": (8, 2),
    "CarRun": (7, 2),
    "DroneCircle": (18, 4),
    "DroneRun": (17, 4),
    **{f"Car{name}": (88, 2) for name in ("Button1", "Button2", "Push1", "Push2")},
    **{f"Car{name}": (40, 2) for name in ("Circle1", "Circle2")},
    **{f"Car{name}": (72, 2) for name in ("Goal1", "Goal2")},
    **{f"Point{name}": (76, 2) for name in ("Button1", "Button2", "Push1", "Push2")},
    **{f"Point{name}": (28, 2) for name in ("Circle1", "Circle2")},
    **{f"Point{name}": (60, 2) for name in ("Goal1", "Goal2")},
    "AntVelocity": (27, 8),
    "HalfCheetahVelocity": (17, 6),
    "HopperVelocity": (11, 3),
    "SwimmerVelocity": (8, 2),
    "Walker2dVelocity": (17, 6),
    **{
        road + traffic: (259, 2)
        for road in ("easy", "medium", "hard")
        for traffic in ("sparse", "mean", "dense")
    },
}


@pytest.mark.parametrize("name", SIZES)
def test_task_steps_to_its_time_limit(name: str, opened: list[gymnasium.Env]) -> None:
    """Each task gives float32 of its size, finite rewards, a cost, and stops at the horizon."""
    task = task_of(name, horizon_steps=8)
    environment = make_environment(task)
    opened.append(environment)
    observation_dim, action_dim = SIZES[name]
    assert environment.observation_space.shape == (observation_dim,)
    assert environment.action_space == gymnasium.spaces.Box(-1, 1, (action_dim,), np.float32)
    observation, info = environment.reset(seed=0)
    assert environment.observation_space.contains(observation)
    assert info == {}
    for step in range(1, 9):
        observation, reward, terminated, truncated, info = environment.step(
            np.zeros(action_dim, np.float32)
        )
        assert environment.observation_space.contains(observation)
        assert np.isfinite(observation).all()
        assert type(reward) is float
        assert np.isfinite(reward)
        assert type(info["cost"]) is float
        assert info["cost"] >= 0
        assert terminated is False
        assert truncated is (step == 8)
    with pytest.raises(gymnasium.error.ResetNeeded):
        environment.step(np.zeros(action_dim))


def test_every_task_of_the_benchmark_is_tested() -> None:
    """The sizes above are of 38 tasks, and the table has these, PointRobot and no other."""
    import yaml

    table = yaml.safe_load((ROOT / "tasks.yaml").read_text(encoding="utf-8"))
    assert len(SIZES) == 38
    assert table.keys() == SIZES.keys() | {"PointRobot"}


class Recorder:
    """A simulator with bounds [-1, 3] and [0, 10] that keeps what it gets."""

    observation_dim = 1
    action_low, action_high = np.array([-1.0, 0.0]), np.array([3.0, 10.0])

    def __init__(self) -> None:
        self.actions: list[list[float]] = []

    def start(self, seed: int) -> np.ndarray:
        return np.array([float(seed)])

    def advance(self, action: np.ndarray) -> Transition:
        self.actions.append(action.tolist())
        return Transition(np.zeros(1), 1, np.int64(1), len(self.actions) == 4)

    def close(self) -> None: ...


def test_actions_are_scaled_to_the_simulators_bounds() -> None:
    """-1 is the lower bound, 0 the middle, 1 the upper one; what ends is not truncated as well."""
    recorder = Recorder()
    environment = SimulatedEnv(recorder, horizon_steps=4)
    environment.reset(seed=0)
    for action in ([-1, -1], [0, 0], [1, 0.5]):
        assert environment.step(np.array(action))[2:4] == (False, False)
    *_, terminated, truncated, info = environment.step(np.array([2, -2]))
    assert recorder.actions == [[-1, 0], [1, 5], [3, 7.5], [3, 0]]
    assert (terminated, truncated) == (True, False)
    assert type(info["cost"]) is float


@pytest.mark.parametrize("action", [[0.0], [0.0, np.nan], [[0.0, 0.0]]])
def test_action_that_is_none_is_refused(action: list[Any]) -> None:
    environment = SimulatedEnv(Recorder(), horizon_steps=4)
    environment.reset(seed=0)
    with pytest.raises(ValueError, match=r"an action is \(2,\) finite numbers"):
        environment.step(np.array(action))


def test_second_metadrive_environment_is_refused_until_the_first_is_closed(
    opened: list[gymnasium.Env],
) -> None:
    first = make_environment(task_of("easymean"))
    opened.append(first)
    with pytest.raises(RuntimeError, match="one engine a process, and it is in use: close"):
        make_environment(task_of("easysparse"))
    first.close()
    first.close()
    second = make_environment(task_of("hardmean"))
    opened.append(second)
    assert second.reset(seed=0)[0].shape == (259,)


def test_metadrive_charges_speed_in_km_h(opened: list[gymnasium.Env]) -> None:
    """0.01 for each km/h above 10: full throttle from a stand costs from about 2.8 m/s on."""
    environment = make_environment(task_of("easysparse"))
    opened.append(environment)
    environment.reset(seed=0)
    simulator: Any = environment.unwrapped.simulator  # type: ignore[attr-defined]
    charged = []
    for _ in range(25):
        info = environment.step(np.array([0.0, 1.0]))[-1]
        metres_per_second = np.linalg.norm(simulator._driving.vehicle.velocity)
        expected = max(0.0, 0.01 * (3.6 * metres_per_second - 10))
        charged.append(info["cost"])
        assert info["cost"] == pytest.approx(expected, abs=1e-4)  # the proximity term: at most this
    assert charged[0] == 0
    assert charged[-1] > 0


@pytest.mark.parametrize("blocks", [("easy", "SCS"), ("medium", "XST"), ("hard", "TRO")])
def test_metadrive_drives_on_dsrls_roads(
    blocks: tuple[str, str], opened: list[gymnasium.Env]
) -> None:
    """After the entrance, I, the map consists of the blocks that DSRL names."""
    environment = make_environment(task_of(f"{blocks[0]}dense"))
    opened.append(environment)
    simulator: Any = environment.unwrapped.simulator  # type: ignore[attr-defined]
    assert "".join(block.ID for block in simulator._driving.current_map.blocks) == f"I{blocks[1]}"


@pytest.mark.parametrize("name", ["BallRun", "CarGoal1", "easysparse", "PointRobot"])
def test_unknown_environment_is_named(name: str) -> None:
    with pytest.raises(InputError, match="Chess"):
        make_environment(task_of(name, environment="SafetyChess-v0"))


@pytest.mark.parametrize("name", ["BallRun", "CarGoal1", "easysparse"])
def test_simulator_that_fails_to_import_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names package, cause and remedy, whatever the import raised."""

    def broken(module: str, *arguments: Any, **options: Any) -> Any:
        if module.split(".")[0] in ("bullet_safety_gym", "safety_gymnasium", "metadrive"):
            raise OSError("libGL.so.1: cannot open shared object file")
        return original(module, *arguments, **options)

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", broken)
    packages = r"(bullet-safety-gym|safety-gymnasium|metadrive-simulator)"
    message = rf"{packages} cannot be imported \(OSError: libGL.*\); `make venv` installs it"
    with pytest.raises(InputError, match=message) as caught:
        make_environment(task_of(name))
    assert isinstance(caught.value.__cause__, OSError)


def test_missing_simulator_is_named() -> None:
    message = r"the simulator chess cannot be imported .*ModuleNotFound"
    with pytest.raises(InputError, match=message), importing("chess"):
        import chess_that_is_not_there  # noqa: F401


def test_quiet_leaves_nothing_behind(capfd: pytest.CaptureFixture[str]) -> None:
    """Prints, also those of C or of a child process, and warnings are dropped only within."""
    import logging
    import os

    filters, handlers = list(warnings.filters), list(logging.getLogger().handlers)
    with quiet():
        print("printed")
        os.write(2, b"written by C")
        warnings.warn("warned", stacklevel=1)
        logging.warning("logged")
    print("kept")
    assert capfd.readouterr() == ("kept\n", "")
    assert list(warnings.filters) == filters
    assert logging.getLogger().handlers == handlers


@pytest.mark.parametrize("name", ["BallRun", "CarGoal1", "easysparse"])
def test_worker_process_is_silent_and_without_jax(name: str) -> None:
    """Making and stepping a simulator prints nothing and imports no JAX, nor other suites."""
    code = (
        "import sys, numpy\n"
        "from fisor.config.files import load_task\n"
        "from fisor.envs.suites import make_environment\n"
        "before = set(sys.modules)\n"
        f"environment = make_environment(load_task('{name}'))\n"
        "environment.reset(seed=0)\n"
        "environment.step(numpy.zeros(2))\n"
        "environment.close()\n"
        "found = {'jax', 'pybullet', 'mujoco', 'metadrive', 'gym'} & set(sys.modules)\n"
        "assert not {'pybullet', 'mujoco', 'metadrive'} & before\n"
        "print(*found, end='')\n"
    )
    result = run(ROOT, sys.executable, "-c", code)
    own = {"BallRun": "pybullet", "CarGoal1": "mujoco", "easysparse": "metadrive"}[name]
    assert (result.returncode, result.stdout, result.stderr) == (0, own, "")


def test_importing_the_adapters_imports_no_simulator() -> None:
    """Each suite's module can be imported where its simulator is not installed."""
    modules = "bullet_safety_gym, safety_gymnasium, metadrive"
    code = f"import sys; from fisor.envs import {modules}; print(*sys.modules, sep='\\n')"
    loaded = set(checked(ROOT, sys.executable, "-c", code).split())
    assert not loaded & {"jax", "pybullet", "mujoco", "metadrive", "safety_gymnasium"}
