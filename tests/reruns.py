"""What a change makes stale: the stages of the small project by name, and which would rerun."""

import shutil
import sys
import warnings
from pathlib import Path

import networkx as nx
import yaml
from dvc.repo import Repo
from project import checked, edit_yaml

POLICY, EVALUATE = "train_policy@PointRobot-FISOR", "evaluate@PointRobot-FISOR"
OURS = "FISOR-BF"
RECORD = "record@PointRobot-FISOR"
BASELINE, EVALUATE_BASELINE = "train_baseline@PointRobot-BC", "evaluate_baseline@PointRobot-BC"
RECORD_BASELINE = "record_baseline@PointRobot-BC"
DISTIL = "distil@PointRobot-FISOR"
DISTILLED = {DISTIL, "evaluate_distilled@PointRobot-FISOR", "record_distilled@PointRobot-FISOR"}
FEASIBILITY, REWARD = "train_feasibility@PointRobot", "train_reward@PointRobot"
ACQUIRE = "acquire@PointRobot-all"
CHAIN = {ACQUIRE, "convert@PointRobot", "label@PointRobot"}
BELOW_EVALUATION = {EVALUATE, RECORD, "report"}
BELOW_POLICY = {POLICY, *BELOW_EVALUATION}
CHAIN |= {FEASIBILITY, REWARD, *BELOW_POLICY}
BELOW_FEASIBILITY = {FEASIBILITY, *BELOW_POLICY}
BELOW_CRITICS = {REWARD, *BELOW_FEASIBILITY}


def write(folder: Path, module: str, old: str, new: str) -> None:
    """Change the code of a module of the project."""
    path = folder / module
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def would_rerun(folder: Path) -> set[str]:
    """Stages that `dvc repro` would run if each changed stage also changed its output.

    Stages `code` and `code_baseline`, which only say what the others compute with, run here as they
    would there. Then DVC's own status names the stages whose dependencies changed, and its graph
    what lies below.
    """
    options = ("--lock", "requirements.lock", "--out", "data/code")
    checked(folder, sys.executable, "-m", "stages.code", *options)
    for method in yaml.safe_load((folder / "params.yaml").read_text())["baselines"]:
        command = ("stages.code_baseline", "--method", method, *options)
        checked(folder, sys.executable, "-m", *command)
    with warnings.catch_warnings(), Repo(folder) as repo:
        warnings.simplefilter("ignore")  # DVC's own
        stale = {address.split(":")[-1] for address in repo.status()}
        stale = {stage for stage in stale if not stage.startswith("code")}
        graph = repo.index.graph  # an edge goes from a stage to one that it depends on
        changed = [stage for stage in graph if stage.name in stale]
        below = {stage.name for start in changed for stage in nx.ancestors(graph, start)}
    return stale | below


def run_beside(pipeline: Path, folder: Path, key: str, name: str) -> Path:
    """A copy of the project in small, run and committed with one more method beside FISOR.

    Args:
        pipeline: the project, run with FISOR alone.
        folder: an empty folder for the copy.
        key: the list of params.yaml that gets it, such as `baselines`.
        name: what that list then holds.
    """
    copy = shutil.copytree(pipeline, folder / "project")
    edit_yaml(copy / "params.yaml", {key: [name]})
    checked(copy, "dvc", "repro")
    checked(copy, "git", "add", "--all")
    checked(copy, "git", "commit", "--quiet", "--message", f"{name} in {key}")
    return copy
