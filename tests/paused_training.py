"""A pipeline of one stage, a real training that waits after a checkpoint to be killed."""

from pathlib import Path

import transition_files
import yaml
from project import ROOT, SMALL_TASK, commit, edit_yaml, make_repository

STEPS = 8
GOING_ON = "train_reward PointRobot: going on from update 4"

# The stage's command, which writes a checkpoint every second update. The first time, it waits after
# that of update 4; it waits for longer than Slurm takes to find that a job's time is over.
TRAINING = """
import os, time
from pathlib import Path
import stages.train_reward as stage
from fisor.training import resuming

resuming.EVERY_SECONDS = 0.0
write = resuming.Checkpoints.write
go, reached = Path({go!r}), Path({reached!r})

def write_and_wait(self, updates, state):
    write(self, updates, state)
    if updates == 4 and not go.exists():
        partial = reached.with_suffix(".partial")
        partial.write_text(str(os.getpid()))
        partial.rename(reached)
        time.sleep(600)

resuming.Checkpoints.write = write_and_wait
stage.main("PointRobot", "Toy.parquet", "reward", "log")
"""


def paused_training(folder: Path) -> Path:
    """A committed project with the training of the reward critic, which has not run.

    Args:
        folder: where to make it, and the signals around it.
    """
    project = folder / "project"
    project.mkdir(parents=True)
    transition_files.write(project)
    script = TRAINING.format(go=str(go(project)), reached=str(reached(project)))
    (project / "train.py").write_text(script)
    for name in ("params.yaml", "tasks.yaml"):
        (project / name).write_bytes((ROOT / name).read_bytes())
    edit_yaml(project / "params.yaml", {"seeds": 2, "log_every_updates": 2})
    reward = {**SMALL_TASK["overrides"]["reward"], "training_steps": STEPS}
    edit_yaml(project / "tasks.yaml", {"PointRobot": {"overrides": {"reward": reward}}})
    stage = {"cmd": "python train.py", "deps": ["Toy.parquet"], "outs": ["reward", "log"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    make_repository(project)
    commit(project, "A training")
    return project


def go(project: Path) -> Path:
    """While this file is there, the training does not wait."""
    return project.parent / "go"


def reached(project: Path) -> Path:
    """A file with the training's process number, which is there once it waits."""
    return project.parent / "reached"


def made(project: Path) -> list[dict]:
    """The paths, sizes and hashes of the training's outputs in dvc.lock."""
    return yaml.safe_load((project / "dvc.lock").read_text())["stages"]["train"]["outs"]
