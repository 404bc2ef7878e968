"""The project seen from outside: copies of it, and its commands."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("fisor", "stages")
TRAINING_STAGES = (
    *("train_feasibility", "train_reward", "train_policy", "train_baseline", "distil"),
)

# Sizes at which every stage does its real work in a second or two.
SMALL_BASELINE = {"hidden_units": 8, "policy_units": 8, "policy_blocks": 1, "training_steps": 4}
SMALL_PARAMS = {
    "policies": ["FISOR"],
    "seeds": 2,
    "log_every_updates": 2,
    "N": 2,
    "training_steps": 4,
}
SMALL_TASK = {
    "horizon_steps": 20,
    "acquire": {"source": "collect", "transitions": 2000, "seed": 0},
    "overrides": {
        "feasibility": {"hidden_units": 8, "training_steps": 4},
        "reward": {"hidden_units": 8, "training_steps": 4},
        "policy": {
            "policy_units": 8,
            "policy_blocks": 1,
            "policy_batch_size": 16,
            "training_steps": 4,
        },
        "evaluation": {"episodes": 12},
        "baselines": SMALL_BASELINE,
        "distilled": {"hidden_units": 8, "training_steps": 4, "teacher_samples": 64},
    },
}


def run(folder: Path, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` with this environment's programs first on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # The suite's own configuration must not leak into the project under test.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "GIT_", "PYTEST_"))}
    environment = {**kept, "PATH": path, "DVC_NO_ANALYTICS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, text=True, capture_output=True, check=False, **options
    )


def checked(folder: Path, *command: str) -> str:
    """Run a command that must succeed; returns what it printed."""
    result = run(folder, *command)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def make_repository(folder: Path) -> None:
    """Make a folder a Git and DVC repository, with a user who can commit."""
    checked(folder, "git", "init", "--quiet", "--initial-branch", "main")
    checked(folder, "git", "config", "user.email", "tests@example.com")
    checked(folder, "git", "config", "user.name", "tests")
    checked(folder, "dvc", "init", "--quiet")


def commit(folder: Path, message: str) -> None:
    """Commit all that is there."""
    checked(folder, "git", "add", "--all")
    checked(folder, "git", "commit", "--quiet", "--message", message)


def edit_yaml(path: Path, change: dict) -> None:
    """Lay `change` over a YAML file, key by key."""

    def merge(base: dict, new: dict) -> dict:
        for key, value in new.items():
            both = isinstance(value, dict) and isinstance(base.get(key), dict)
            base[key] = merge(base[key], value) if both else value
        return base

    merged = merge(yaml.safe_load(path.read_text()), change)
    path.write_text(yaml.safe_dump(merged, sort_keys=False))


@contextmanager
def editing(folder: Path) -> Iterator[Path]:
    """What is written, and what stage `code` makes of it, is put back afterwards."""
    shutil.copytree(folder / "data/code", folder / ".git/code")
    yield folder
    shutil.rmtree(folder / "data/code")
    (folder / ".git/code").rename(folder / "data/code")
    checked(folder, "git", "checkout", "--quiet", ".")
    checked(folder, "git", "clean", "--force", "--quiet", "-d")


def small_copy(folder: Path) -> Path:
    """A committed copy of the project whose PointRobot run takes seconds."""
    names = ("dvc.yaml", "params.yaml", "tasks.yaml", "requirements.lock", "README.md")
    names += (".dvcignore", ".gitignore")
    folder.mkdir(parents=True)
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in names:
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "benchmarks/results", folder / "benchmarks/results")
    edit_yaml(folder / "params.yaml", SMALL_PARAMS)
    edit_yaml(folder / "tasks.yaml", {"PointRobot": SMALL_TASK})
    make_repository(folder)
    commit(folder, "Small copy")
    return folder


def first_run(shared: Path) -> Path:
    """The small copy, run once from nothing and committed: to be copied, not to be changed.

    Args:
        shared: a folder of this test run that all its processes share; the first one makes it.
    """
    folder = shared / "first_run"
    with (shared / "first_run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not folder.exists():
            # Named after the process: where one fails, the next one tells why, too.
            made = small_copy(shared / f"first_run.{os.getpid()}")
            checked(made, "dvc", "repro")
            commit(made, "First run")
            made.rename(folder)
    return folder


def write_dsrl_file(folder: Path, task: str, observation_dim: int, action_dim: int) -> None:
    """A file in DSRL's layout and under its name: as many episodes as that says, of two steps."""
    table = yaml.safe_load((ROOT / "tasks.yaml").read_text())
    name = table[task]["acquire"]["file"]
    rows = 2 * int(name.removesuffix(".hdf5").rsplit("-", 1)[1])
    draw = np.random.default_rng(0)
    second = np.arange(rows) % 2 == 1
    with h5py.File(folder / name, "w") as file:
        file["observations"] = draw.normal(size=(rows, observation_dim)).astype(np.float32)
        file["next_observations"] = draw.normal(size=(rows, observation_dim)).astype(np.float32)
        file["actions"] = draw.uniform(-1, 1, (rows, action_dim)).astype(np.float32)
        file["rewards"] = draw.normal(size=rows).astype(np.float32)
        file["costs"] = (draw.random(rows) < 0.2).astype(np.float32)
        file["terminals"] = np.zeros(rows, np.float32)
        file["timeouts"] = second.astype(np.float32)
