"""The report: metrics.json, report.md with its pictures, and curves for `dvc plots`."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from fisor import critics, data_card, plots, regions
from fisor.critics import TrainedCritic
from fisor.errors import InputError
from fisor.outputs import whole_directory
from fisor.params import Params
from fisor.tables import (
    POINT_ROBOT_RESULTS,
    SIMULATOR_RESULTS,
    SUITE_TITLES,
    as_json,
    markdown,
    method_estimates,
    papers_figures,
    shown,
    suite_section,
)
from fisor.tasks import Task
from fisor.transitions import matrix, read_table


class TaskFiles(NamedTuple):
    """Where the earlier stages left a task's results, all under `data`."""

    data: Path
    task: Task

    def transitions(self) -> Path:
        """The dataset."""
        return self.data / "transitions" / f"{self.task.name}.parquet"

    def labels(self) -> Path:
        """The folder of h and of the dataset's card."""
        return self.data / "labels" / self.task.name

    def critic(self, stage: str) -> Path:
        """The folder of a trained critic: feasibility or reward."""
        return self.data / stage / self.task.name

    def policy(self, method: str) -> Path:
        """The folder of a method's policy."""
        return self.data / "policy" / self.task.name / method

    def curves(self, methods: Iterable[str]) -> Iterator[tuple[Path, str, str]]:
        """Each training curve: its file, its column, and what it is."""
        for stage, value in (("feasibility", "V_h"), ("reward", "V_r")):
            file = self.critic(stage) / "curve.csv"
            yield file, "v_mean", f"mean of {value}"
            yield file, "v_loss", f"loss of {value}"
            yield file, "q_loss", f"loss of {value.replace('V', 'Q')}"
        for method in methods:
            yield self.policy(method) / "curve.csv", "policy_loss", f"policy loss of {method}"

    def rollouts(self, method: str) -> pl.DataFrame:
        """The episodes of a method."""
        path = self.data / "rollouts" / self.task.name / f"{method}.parquet"
        if not path.exists():
            raise InputError(f"{path}: there is no such file; `dvc repro` makes it")
        return pl.read_parquet(path)


def write_report(data: Path, reports: Path, params: Params, tasks: list[Task]) -> None:
    """Write everything under `reports` from everything under `data`.

    Args:
        data: the stages' folder.
        reports: the folder of metrics.json, report.md, figures/ and curves/.
        params: which methods to show.
        tasks: which tasks to show.

    Raises:
        InputError: a result is missing.
    """
    metrics: dict[str, Any] = {}
    sections = ["# Report\n", _legend()]
    for suite in SUITE_TITLES:
        episodes = [
            (task, {method: TaskFiles(data, task).rollouts(method) for method in params.methods})
            for task in tasks
            if task.suite == suite
        ]
        if episodes:
            averages, section = suite_section(suite, episodes)
            metrics.setdefault("suite_averages", {})[suite] = averages
            sections.append(section)
    with (
        whole_directory(reports / "figures") as figures,
        whole_directory(reports / "curves") as curves,
    ):
        for task in tasks:
            files = TaskFiles(data, task)
            (figures / task.name).mkdir()
            (curves / task.name).mkdir()
            metrics[task.name], section = _task_section(files, params, figures, curves)
            sections.append(section)
    text = json.dumps(_rounded(metrics), indent=2, allow_nan=False) + "\n"
    (reports / "metrics.json").write_text(text, encoding="utf-8")
    (reports / "report.md").write_text("\n".join(sections), encoding="utf-8")


def _legend() -> str:
    return (
        "Brackets hold 95 % intervals: bootstrap over seeds and start states together. Normalised "
        "as DSRL does: reward 0 and 1 are the dataset's lowest and highest return, cost 1 is the "
        "task's cost limit. The feasible region is where $V_h \\le 0$.\n"
    )


def _task_section(
    files: TaskFiles, params: Params, figures: Path, curves: Path
) -> tuple[dict[str, Any], str]:
    task = files.task
    picture = f"{task.name}/dataset.png"
    card, text = data_card.section(task, files.labels(), figures / picture, f"figures/{picture}")
    metrics: dict[str, Any] = {"data": card}
    critic = critics.load(files.critic("feasibility"))
    parts = [f"## {task.name}\n", text, "### Results\n"]
    if critic.config["feasibility"] == "cost_value":
        parts.append(
            "Without Hamilton-Jacobi reachability: what is called V_h below is the cost value V_c, "
            f"feasible where it is at most {critic.config['threshold']:g}.\n"
        )
    simulated = task.suite in SUITE_TITLES
    rows = []
    for method in params.methods:
        results = SIMULATOR_RESULTS if simulated else POINT_ROBOT_RESULTS
        estimates = method_estimates(files.rollouts(method), results)
        metrics[method] = as_json(estimates)
        rows.append({"method": method} | {name: shown(e) for name, e in estimates.items()})
    parts.append(markdown(pl.DataFrame(rows)))
    if simulated:
        metrics["source"] = data_card.source(task)
        metrics["papers_FISOR"] = papers_figures(task)
    if task.suite == "point_robot":
        region_metrics, text = _region_section(files, critic, params.methods, figures / task.name)
        metrics["feasible_region"] = region_metrics
        parts.append(text)
    drawn = {}
    for file, column, title in files.curves(params.methods):
        wide = pl.read_csv(file).pivot("seed", index="update", values=column)
        updates, values = wide["update"].to_numpy(), wide.drop("update").to_numpy()
        drawn[title] = (updates, values)
        pl.DataFrame(
            {
                "update": updates,
                "mean": values.mean(1),
                "low": values.min(1),
                "high": values.max(1),
            }
        ).write_csv(curves / task.name / f"{title.replace(' ', '_')}.csv", float_precision=6)
    metrics["mean_feasible_value"] = float(drawn["mean of V_h"][1][-1].mean())
    plots.training_curves(figures / task.name / "training_curves.png", drawn)
    parts.append(
        f"![Training curves](figures/{task.name}/training_curves.png)\n\n"
        "*Training curves: each seed, their range and mean. The mean of V_h at the end is "
        f"{metrics['mean_feasible_value']:.2f}; the paper chooses M so that it is near 0 where h "
        "is made from costs.*\n"
    )
    return metrics, "\n".join(parts)


def _region_section(
    files: TaskFiles, critic: TrainedCritic, methods: Iterable[str], figures: Path
) -> tuple[dict[str, Any], str]:
    cost_value = critic.config["feasibility"] == "cost_value"
    truths = {where: regions.slice_truth(where) for where in regions.SLICES}
    learned = {where: critic.values(truth.observations) for where, truth in truths.items()}
    rows, per_slice = [], {}
    for where, truth in truths.items():
        seeds = [regions.agreement(values, truth.true_violation) for values in learned[where]]
        mean = regions.Agreement(*np.mean(seeds, axis=0).tolist())
        per_slice[where.name] = mean._asdict()
        paper = regions.agreement(truth.papers_violation, truth.true_violation)
        row = {"speed": f"{where.speed:g}", "heading": f"{where.heading_degrees:g}°"}
        for field in regions.Agreement._fields:
            values = [getattr(seed, field) for seed in seeds]
            spread = f"({min(values):.3f} to {max(values):.3f})"
            row[field.replace("_", " ")] = f"{np.mean(values):.3f} {spread}"
        row["paper's truth: intersection over union"] = f"{paper.intersection_over_union:.3f}"
        rows.append(row)
    means = {
        f"mean_{field}": float(np.mean([m[field] for m in per_slice.values()]))
        for field in regions.Agreement._fields
    }
    table = read_table(files.transitions(), ("observation",))
    positions = matrix(table, "observation", files.transitions())[:, :2]
    drawn = regions.FIGURE_1_SLICES
    plots.task_and_regions(
        figures / "feasible_region.png",
        positions,
        drawn,
        [truths[where] for where in drawn],
        [learned[where] for where in drawn],
        f"$V_c - {critic.config['threshold']:g}$" if cost_value else "$V_h$",
    )
    trajectories = []
    for method in methods:
        episodes = files.rollouts(method).filter(pl.col("seed") == 0)
        picture = f"trajectories_{method}.png"
        plots.trajectories(figures / picture, *figure_2_episodes(episodes))
        trajectories.append(
            f"![Trajectories of {method}](figures/{files.task.name}/{picture})\n\n"
            f"*Trajectories of {method}'s first seed.*\n\n"
        )
    text = (
        f"![Feasible region](figures/{files.task.name}/feasible_region.png)\n\n"
        "*(a) The task, (b) where the data is, and the learned feasible region against the true "
        "one at three speeds and headings (arrow).*\n\n"
        + "".join(trajectories)
        + "Agreement of the infeasible sets, mean over seeds (lowest to highest):\n\n"
        + markdown(pl.DataFrame(rows))
    )
    return {"slices": per_slice} | means, text


def figure_2_episodes(episodes: pl.DataFrame) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """x, y and speed of the first feasible and infeasible starts of a seed."""

    def first(feasible: bool, count: int) -> list[np.ndarray]:
        chosen = episodes.filter(pl.col("truly_feasible") == feasible).sort("episode").head(count)
        return [np.asarray(steps.to_list())[:, :3] for steps in chosen["observations"]]

    return first(True, 12), first(False, 8)


def _rounded(value: Any) -> Any:
    """Four decimals everywhere; NaN (no such episode) becomes null, which JSON can say."""
    if isinstance(value, Mapping):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
