"""The monitor: what it writes of each step, when its policy steps in, and the page's example."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from project import ROOT, checked

import fisor
from fisor.agents import Agent, Policy, Step
from fisor.monitoring import INFO, monitor

LIMIT = 2.0


class Line(gymnasium.Env):
    """A point on a line that moves by each action; its only observation is where it is."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        """Start at 0."""
        self.at = 0.0
        return np.zeros(1, np.float32), {"start": True}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Move; the cost is how far it is beyond the limit."""
        self.at += float(action[0])
        info = {"cost": max(self.at - LIMIT, 0.0)}
        return np.full(1, self.at, np.float32), self.at, False, False, info


def retreating(feasible: bool = True) -> Policy:
    """A policy that moves back by 0.5; V_h is where it is less the limit, Q_h that afterwards."""

    def act(params: Any, memory: tuple[()], step: Step, key: Any) -> Any:
        return jnp.full(1, params[0]), memory

    def value(params: Any, observations: jax.Array) -> jax.Array:
        return observations[:, 0] - LIMIT

    def action_value(params: Any, observations: jax.Array, actions: jax.Array) -> jax.Array:
        return observations[:, 0] + actions[:, 0] - LIMIT

    values = (value, action_value) if feasible else (None, None)
    return Policy(Agent(jnp.full((1, 1), -0.5), 1, tuple, act, *values), 0)


def run(environment: gymnasium.Env, steps: int) -> list[dict[str, Any]]:
    """Push forward by 0.75 in each step; what the monitor wrote."""
    environment.reset(seed=0)
    return [environment.step(np.full(1, 0.75, np.float32))[4] for _ in range(steps)]


def test_the_policy_steps_in_beyond_the_margin() -> None:
    """By hand, limit 2 and margin 0.5: what leads beyond 1.5 is not taken.

    From 0 and 0.75 a push of 0.75 leads to 0.75 and 1.5. From 1.5 it would lead to 2.25, so the
    policy's -0.5 is taken; from 1.0 it would lead to 1.75: again.
    """
    infos = run(monitor(Line(), retreating(), margin=0.5), 4)
    found = [info[INFO] for info in infos]
    assert [one["feasible_value"] for one in found] == [-2.0, -1.25, -0.5, -1.0]
    assert [one["action_value"] for one in found] == [-1.25, -0.5, 0.25, -0.25]
    assert [one["taken_value"] for one in found] == [-1.25, -0.5, -1.0, -1.5]
    assert [one["stepped_in"] for one in found] == [False, False, True, True]
    assert {one["margin"] for one in found} == {0.5}
    assert [info["cost"] for info in infos] == [0.0] * 4  # the environment's own info stays


def test_without_a_guard_it_only_watches(tmp_path: Path) -> None:
    """Every push is taken, and what it is worth written, to the record as well."""
    record = tmp_path / "out" / "record.parquet"
    with monitor(Line(), retreating(), guard=False, record=record) as watched:
        infos = run(watched, 4) + run(watched, 1)
        assert not record.exists()
    assert [info[INFO]["action_value"] for info in infos] == [-1.25, -0.5, 0.25, 1.0, -1.25]
    assert not any(info[INFO]["stepped_in"] for info in infos)
    rows = pl.read_parquet(record)
    assert rows["episode"].to_list() == [0, 0, 0, 0, 1]
    assert rows["step"].to_list() == [1, 2, 3, 4, 1]
    assert rows["cost"].to_list() == [0.0, 0.0, 0.25, 1.0, 0.0]
    assert rows["reward"].to_list() == [0.75, 1.5, 2.25, 3.0, 0.75]
    for name in ("feasible_value", "action_value", "taken_value", "margin", "stepped_in"):
        assert rows[name].to_list() == [info[INFO][name] for info in infos]


@pytest.mark.parametrize(
    ("low", "size", "margin", "message"),
    [
        (-1.0, 1, -0.1, "margin must be at least 0, not -0.1"),
        (-2.0, 1, 0.0, r"the policy acts within \[-1, 1\]"),
        (-1.0, 2, 0.0, r"the policy acts within \[-1, 1\], \(1,\)"),
    ],
)
def test_what_does_not_fit_is_refused(low: float, size: int, margin: float, message: str) -> None:
    environment = Line()
    environment.action_space = gymnasium.spaces.Box(low, 1.0, (size,), np.float32)
    with pytest.raises(ValueError, match=message):
        monitor(environment, retreating(), margin=margin)


def test_a_policy_without_feasible_values_cannot_guard() -> None:
    with pytest.raises(TypeError, match="learns no feasible value"):
        monitor(Line(), retreating(feasible=False))


def test_a_step_before_the_first_reset_is_refused() -> None:
    with pytest.raises(gymnasium.error.ResetNeeded):
        monitor(Line(), retreating()).step(np.zeros(1))


def test_it_is_the_librarys_own_name() -> None:
    """Again after its module was imported."""
    assert fisor.monitor is monitor
    assert fisor.load_policy is not None


def test_the_pages_example_runs(first_run: Path, tmp_path: Path) -> None:
    """The code of docs/acting.md, on the policy that the small run has left."""
    page = (ROOT / "docs/acting.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    folder = shutil.copytree(first_run, tmp_path / "project")
    printed = checked(folder, sys.executable, "-c", code)
    steps, stepped_in = re.fullmatch(r"(\d+) steps, stepped in at (\d+)\n", printed).groups()
    rows = pl.read_parquet(folder / "monitor.parquet")
    assert rows.height == int(steps) > 0
    assert rows["stepped_in"].sum() == int(stepped_in)
    assert (rows["stepped_in"] == (rows["action_value"] > -0.2)).all()
