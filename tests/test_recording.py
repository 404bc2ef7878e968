"""Recordings end to end: replayed as evaluated, marked, the same bytes; what prevents them."""

import dataclasses
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from configured import section
from constrained_mdp import trained
from decoded_clips import frames_of, is_marked
from drawn_environment import VIOLATING
from project import ROOT, checked, edit_yaml

from fisor import agents
from fisor.agents import ACTING, TRAINED
from fisor.baselines.baseline import Problem
from fisor.config.recording import RecordStage
from fisor.data.transitions import Transitions
from fisor.envs.rendering import safety_gymnasium
from fisor.errors import InputError
from fisor.evaluation.scores import evaluate
from fisor.recording.record import record

SMALL = {"seeds": 2, "training_steps": 20, "policy_units": 8, "policy_blocks": 1, "T": 2}


@dataclasses.dataclass
class Evaluated:
    """A policy in its folder, and its evaluation."""

    task: RecordStage
    policy: Path
    rollouts: Path

    def record(self, out: Path) -> dict[str, Any]:
        """What recording.json says."""
        record(self.task, self.policy, self.rollouts, out)
        return json.loads((out / "recording.json").read_text())

    def episode(self, clip: dict[str, Any]) -> dict[str, Any]:
        """The evaluated episode of a clip."""
        rows = pq.read_table(self.rollouts).to_pylist()
        (row,) = (r for r in rows if (r["seed"], r["episode"]) == (clip["seed"], clip["episode"]))
        return row


@pytest.fixture
def evaluated(
    tmp_path: Path, random_transitions: Callable[..., Transitions]
) -> Callable[..., Evaluated]:
    """A function (task's changes) -> a random policy of two seeds, evaluated in an environment."""

    def run(entries: int = 3, **changes: Any) -> Evaluated:
        task = section(RecordStage, "BallRun", **{"method": "DiffusionBC", **changes})
        data = random_transitions(32)
        data = data._replace(observations=np.resize(data.observations, (32, entries)))
        problem = Problem(task.horizon_steps, 1.0, np.zeros(32, int), np.arange(32))
        (tmp_path / TRAINED).mkdir()
        agent = trained("DiffusionBC", data, problem, tmp_path / TRAINED, **SMALL)
        agents.write_acting(tmp_path / ACTING, {"sampler": "ddpm"})
        pq.write_table(evaluate(agent, task), tmp_path / "rollouts.parquet")
        return Evaluated(task, tmp_path, tmp_path / "rollouts.parquet")

    return run


def drawn(name: str = "Drawn-v0") -> dict[str, Any]:
    """The task of an environment of drawn_environment.py, with episodes of 30 to 36 steps."""
    return {
        "suite": "gymnasium",
        "environment": f"drawn_environment:{name}",
        "horizon_steps": 45,
        "episodes": 7,
        "evaluation_seed": 30,
    }


def test_an_environment_is_recorded(evaluated: Callable[..., Evaluated], tmp_path: Path) -> None:
    """Both clips are the evaluated episodes, show each step, and mark the steps that cost.

    A second recording has the same bytes.
    """
    given = evaluated(**drawn())
    said = given.record(tmp_path / "first")
    assert (said["status"], said["missing"]) == ("recorded", None)
    assert [clip["which"] for clip in said["clips"]] == ["median", "worst"]
    for clip in said["clips"]:
        row = given.episode(clip)
        assert clip["same_as_evaluated"]
        for name in ("return", "cost", "normalised_reward", "normalised_cost", "length"):
            assert clip[name] == pytest.approx(row[name], rel=1e-12), name
        assert clip["violating_steps"] == [s for s in VIOLATING if s <= clip["length"]]
        assert (clip["steps_per_frame"], clip["frames_per_second"]) == (1, 10.0)
        frames = frames_of((tmp_path / "first" / clip["file"]).read_bytes())
        assert len(frames) == 1 + clip["length"]
        marked = [step for step, frame in enumerate(frames) if is_marked(frame)]
        assert marked == clip["violating_steps"]
        for step in (0, 7, clip["length"]):  # the square's middle, and left of it
            left = 20 + 4 * step
            assert frames[step][90, left + 10].min() > 200
            assert frames[step][90, left - 10].max() < 120
    given.record(tmp_path / "second")
    for path in (tmp_path / "first").iterdir():
        assert (tmp_path / "second" / path.name).read_bytes() == path.read_bytes()


def test_a_replay_that_differs_says_so(evaluated: Callable[..., Evaluated], tmp_path: Path) -> None:
    """With another return in the table, or other randomness, no clip claims to be the same."""
    given = evaluated(**drawn())
    table = pq.read_table(given.rollouts)
    index = table.schema.get_field_index("return")
    other = pa.array(table["return"].to_numpy() + 1e-4)
    pq.write_table(table.set_column(index, "return", other), given.rollouts)
    assert [c["same_as_evaluated"] for c in given.record(tmp_path / "a")["clips"]] == [False] * 2
    pq.write_table(table, given.rollouts)
    given.task = dataclasses.replace(given.task, evaluation_seed=31)
    clips = given.record(tmp_path / "b")["clips"]
    assert [clip["same_as_evaluated"] for clip in clips] == [False] * 2
    assert clips[0]["return"] != pytest.approx(given.episode(clips[0])["return"], rel=1e-6)


def test_no_pictures_no_failure(
    evaluated: Callable[..., Evaluated], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An environment that cannot draw is said to be so, in the folder and on standard error."""
    said = evaluated(**drawn("Blind-v0")).record(tmp_path / "out")
    assert (said["status"], said["clips"]) == ("missing", [])
    assert re.search(r"has no render mode `rgb_array`$", said["missing"])
    assert said["missing"] in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["recording.json"]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without EGL and OSMesa, MuJoCo's renderer tells what to install."""
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    for wanted in ("", "egl", "osmesa", "glfw"):
        with pytest.raises(InputError, match=r"install the system package libegl1 or libosmesa6$"):
            safety_gymnasium.opengl_context(wanted)


def test_a_table_of_other_episodes_is_refused(
    evaluated: Callable[..., Evaluated], tmp_path: Path
) -> None:
    """The rows in which episodes ran are known only from the whole table."""
    given = evaluated(**drawn())
    pq.write_table(pq.read_table(given.rollouts).slice(1), given.rollouts)
    with pytest.raises(InputError, match="has 13 episodes, not 7 of each of 2 seeds"):
        given.record(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bullet_is_recorded(evaluated: Callable[..., Evaluated], tmp_path: Path) -> None:
    """BallRun for a few steps: the same as evaluated, and the ball is seen to move."""
    given = evaluated(entries=7, episodes=3, horizon_steps=8)
    for clip in given.record(tmp_path / "out")["clips"]:
        assert clip["same_as_evaluated"]
        frames = frames_of((tmp_path / "out" / clip["file"]).read_bytes())
        assert len(frames) == 1 + clip["length"]
        assert all(frame.std() > 20 for frame in frames)
        assert np.abs(frames[-1].astype(int) - frames[0]).mean() > 5


LOADED = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__")
print("loaded:", *sys.modules)
"""


@pytest.mark.parametrize(("on", "status"), [(False, "off"), (True, "not_rendered")])
def test_nothing_to_record_is_quick(on: bool, status: str, tmp_path: Path) -> None:
    """With `record: false`, and on PointRobot, the folder says so, and little is imported."""
    for name in ("params.yaml", "tasks.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    edit_yaml(tmp_path / "params.yaml", {"record": on})
    paths = ("--policy", "none", "--rollouts", "none", "--recording", "out")
    options = ("stages.record", "--task", "PointRobot" if on else "BallRun", *paths)
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{LOADED}"
    printed = checked(tmp_path, sys.executable, "-c", code, *options, "--method", "FISOR")
    loaded = set(re.findall(r"^loaded: (.*)$", printed, re.MULTILINE)[0].split())
    assert not loaded & {"jax", "pyarrow", "PIL", "pybullet", "mujoco", *([] if on else ["numpy"])}
    said = json.loads((tmp_path / "out/recording.json").read_text())
    assert said == {"status": status, "missing": None, "clips": []}
