"""The report: metrics.json, report.md with its pictures, and curves for `dvc plots`."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fisor.config.report import Certified
from fisor.critics import trained
from fisor.critics.trained import TrainedCritic
from fisor.data.parquet import matrix, read_table
from fisor.envs.suites import SUITES, suite_of
from fisor.envs.truth import Truth
from fisor.evaluation import regions
from fisor.outputs import atomic_directory
from fisor.report import benchmark, certificates, data_card, plane, plots, safety
from fisor.report.paper import papers_scores
from fisor.report.results import Results
from fisor.report.scatter import caption, points_of, reward_against_cost
from fisor.report.tables import (
    COST,
    NONE,
    NOT_RUN,
    REWARD,
    Scored,
    as_json,
    markdown,
    scored,
    shown,
)

PICTURE = "reward_against_cost.png"


def write_report(reports: Path, tasks: Sequence[Results], certified: Certified) -> dict[str, Any]:
    """Write everything under `reports` but the HTML page.

    Args:
        reports: the folder of metrics.json, report.md, results.csv, figures/ and curves/.
        tasks: the results to show, all of the same methods.
        certified: parameters of the certificates.

    Returns:
        The content of metrics.json.

    Raises:
        InputError: a result is missing.
    """
    metrics: dict[str, Any] = {}
    sections = ["# Report\n", _legend()]
    figures_of = {results.task.name: scored(results) for results in tasks}
    # PointRobot has no normalised cost; its own section has more to say.
    with_cost = [s for s in figures_of.values() if COST in next(iter(s.estimates.values()))]
    averages = []
    for suite in SUITES:
        members = [s for s in with_cost if s.task.suite == suite]
        if not members:
            continue
        averages.append(benchmark.averages_of(members))
        sections.append(benchmark.suite_section(members, averages[-1]))
        of_methods = {m: as_json(figures) for m, figures in averages[-1].estimates.items()}
        metrics.setdefault("suite_averages", {})[suite] = of_methods
    with (
        atomic_directory(reports / "figures") as figures,
        atomic_directory(reports / "curves") as curves,
    ):
        overall = ["## All tasks\n"]
        if with_cost:
            metrics["safe_tasks"], text = benchmark.overall_section(with_cost)
            overall.append(text)
        if len(next(iter(figures_of.values())).methods) > 1:
            panels = [points_of(s.task.name, s.estimates) for s in figures_of.values()]
            reward_against_cost(figures / PICTURE, panels)
            overall.append(f"![Reward against cost](figures/{PICTURE})\n\n{caption(panels)}")
        if len(overall) > 1:
            sections[2:2] = overall
        for results in tasks:
            name = results.task.name
            (figures / name).mkdir()
            (curves / name).mkdir()
            metrics[name], section = _task_section(
                results, figures_of[name], certified, figures, curves
            )
            sections.append(section)
    benchmark.results_table(list(figures_of.values()), averages).write_csv(
        reports / "results.csv", float_precision=4
    )
    text = json.dumps(_rounded(metrics), indent=2, allow_nan=False) + "\n"
    (reports / "metrics.json").write_text(text, encoding="utf-8")
    (reports / "report.md").write_text("\n".join(sections), encoding="utf-8")
    return metrics


def _legend() -> str:
    return (
        "Brackets hold 95 % intervals of the mean over training seeds and start states, both taken "
        "as drawn at random: Student's t with the variance of two crossed random effects, so that "
        "few seeds that differ make wide intervals. Shares stay within 0 and 1, and where all "
        "episodes agree the interval is the binomial's, as if they were independent; other figures "
        "without any spread have none. Scores are normalised as DSRL does: reward 0 and 1 are the "
        "dataset's lowest and highest return, cost 1 is the task's cost limit. The feasible region "
        "is where $V_h \\le 0$.\n"
    )


def _task_section(
    results: Results, numbers: Scored, certified: Certified, figures: Path, curves: Path
) -> tuple[dict[str, Any], str]:
    task, suite = results.task, suite_of(results.task)
    picture = f"{task.name}/dataset.png"
    card = data_card.card(task, results.labels)
    text = data_card.section(task, card, figures / picture, f"figures/{picture}")
    metrics: dict[str, Any] = {"data": card.summary}
    critic = trained.load(results.feasibility)
    parts = [f"## {task.name}\n", text, "### Results\n"]
    if critic.config["feasibility"] == "cost_value":
        parts.append(
            "Without Hamilton-Jacobi reachability: what is called V_h below is the cost value V_c, "
            f"feasible where it is at most {critic.config['threshold']:g}.\n"
        )
    metrics |= {method: as_json(estimates) for method, estimates in numbers.estimates.items()}
    parts.append(markdown(_results_table(numbers)))
    episodes = {method: results.episodes(method) for method in numbers.estimates}
    if suite.truth is not None:
        parts.append(_added(metrics, "endings", certificates.endings(episodes)))
    parts.append(_added(metrics, "certificates", certificates.certificates(episodes, certified)))
    if suite.truth is None:
        metrics["source"] = data_card.source(task)
        papers = papers_scores().get(task.name, {})
        for method in numbers.methods:
            if method in papers:
                metrics[f"papers_{method}"] = dict(zip((REWARD, COST), papers[method], strict=True))
    else:
        metrics["feasible_region"], text = _region_section(
            results, suite.truth, critic, figures / task.name
        )
        parts.append(text)
    drawn = {}
    for file, column, title in results.curves():
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
    parts.append(_made_on(results.hardware()))
    return metrics, "\n".join(parts)


def _results_table(numbers: Scored) -> pl.DataFrame:
    """A row for each method, with its intervals, and the paper's scores beside them."""
    suite, papers = suite_of(numbers.task), papers_scores().get(numbers.task.name, {})
    names = [result.name for result in suite.results]
    compared = any(method in papers for method in numbers.methods)
    rows = []
    for method in numbers.methods:
        estimates = numbers.estimates.get(method)
        if estimates is None:
            row = dict.fromkeys(names, NOT_RUN)
        else:
            row = dict(zip(names, map(shown, estimates.values()), strict=True))
        if "normalised cost" in names:
            row["by the interval"] = safety.verdict(estimates[COST]) if estimates else NOT_RUN
        if compared:
            scores = papers.get(method)
            row["paper: reward / cost"] = f"{scores[0]:.2f} / {scores[1]:.2f}" if scores else NONE
        rows.append({"method": method} | row)
    return pl.DataFrame(rows)


def _added(metrics: dict[str, Any], name: str, section: certificates.Section) -> str:
    """Put a section's figures to the methods' others; returns its text."""
    figures, text = section
    for method, of_method in figures.items():
        metrics[method][name] = of_method
    return text


def _made_on(hardware: Mapping[str, str]) -> str:
    """Which machine made what; another one's results differ from the last bits on."""
    of_machine: dict[str, list[str]] = {}
    for what, machine in hardware.items():
        of_machine.setdefault(machine, []).append(what)
    return "\n".join(
        f"Made on {machine}: {', '.join(made)}.\n" for machine, made in of_machine.items()
    )


def _region_section(
    results: Results, truth: Truth, critic: TrainedCritic, figures: Path
) -> tuple[dict[str, Any], str]:
    cost_value = critic.config["feasibility"] == "cost_value"
    truths = {where: regions.slice_truth(truth, where) for where in truth.slices}
    learned = {where: critic.values(known.observations) for where, known in truths.items()}
    rows, per_slice = [], {}
    for where, known in truths.items():
        seeds = [regions.agreement(values, known.true_violation) for values in learned[where]]
        mean = regions.Agreement(*np.mean(seeds, axis=0).tolist())
        per_slice[where.name] = mean._asdict()
        paper = regions.agreement(known.papers_violation, known.true_violation)
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
    table = read_table(results.transitions, ("observation",))
    positions = matrix(table, "observation", results.transitions)[:, :2]
    drawn = truth.slices[:3]
    plane.task_and_regions(
        figures / "feasible_region.png",
        truth.plane,
        positions,
        drawn,
        [truths[where] for where in drawn],
        [learned[where] for where in drawn],
        f"$V_c - {critic.config['threshold']:g}$" if cost_value else "$V_h$",
    )
    trajectories = []
    for method in results.ran:
        episodes = results.episodes(method).filter(pl.col("seed") == 0)
        picture = f"trajectories_{method}.png"
        plane.trajectories(figures / picture, truth.plane, *figure_2_episodes(episodes))
        trajectories.append(
            f"![Trajectories of {method}](figures/{results.task.name}/{picture})\n\n"
            f"*Trajectories of {method}'s first seed.*\n\n"
        )
    if others := trajectories[1:]:
        folded = "<details>\n<summary>Trajectories of the other methods</summary>\n\n"
        trajectories[1:] = [folded, *others, "</details>\n\n"]
    text = (
        f"![Feasible region](figures/{results.task.name}/feasible_region.png)\n\n"
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
