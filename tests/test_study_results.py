"""What a study writes: its table, its figure, and what it says of the paper's claims."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fisor.errors import InputError
from fisor.studies import claims, pictures, tables
from fisor.studies.study import Study

METRICS = {
    "PointRobot": {
        "FISOR": {
            "normalised_reward": {"mean": 0.5, "low": 0.4, "high": 0.6},
            "normalised_cost": {"mean": 2.0, "low": None, "high": None},
        },
        "feasible_region": {"mean_intersection_over_union": 0.9},
    }
}


def test_table_of_tasks_has_the_papers_figures_beside_ours(
    study: Callable[..., Study], tmp_path: Path
) -> None:
    """Rows of ours, of a failed experiment, and of a task that only the paper has: not run."""
    (tmp_path / "paper.csv").write_text(
        "# Table 2\ntask,variant,normalised_reward,normalised_cost\n"
        "PointRobot,FISOR,0.45,0.03\nAntRun,FISOR,0.3,\n"
    )
    variants = {"FISOR": {}, "w/o HJ": {"tau": 0.8}}
    made = study(grid=None, variants=variants, figure="bars", rows="tasks", paper="paper.csv")
    fisor, without = made.experiments((), {})
    long = tables.long_table(made, [fisor, without], {fisor.name: METRICS})
    assert long.rows() == [
        ("PointRobot", "FISOR", "normalised_reward", "done", 0.5, 0.4, 0.6, 0.45),
        ("PointRobot", "FISOR", "normalised_cost", "done", 2.0, None, None, 0.03),
        ("PointRobot", "w/o HJ", "normalised_reward", "failed", None, None, None, None),
        ("PointRobot", "w/o HJ", "normalised_cost", "failed", None, None, None, None),
        ("AntRun", "FISOR", "normalised_reward", "not run", None, None, None, 0.3),
        ("AntRun", "FISOR", "normalised_cost", "not run", None, None, None, None),
    ]
    heading, _, ours, papers = tables.study_table(made, long).splitlines()
    assert heading.startswith("| task | FISOR: normalised reward | FISOR: normalised cost | w/o HJ")
    assert ours == (
        "| PointRobot | 0.500 [0.400, 0.600] | 2.000 | failed | failed | 0.45 | 0.03 | – | – |"
    )
    assert papers == "| AntRun | not run | not run | not run | not run | 0.30 | – | – | – |"
    pictures.bars(tmp_path / "bars.png", made, long)  # with holes in it
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_of_methods(study: Callable[..., Study], tmp_path: Path) -> None:
    """A row for each method; the paper's file names methods; only tasks that were run.

    A column of which nothing is known is left out, and the claim is checked on the costs.
    """
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper/table.csv").write_text(
        "task,method,normalised_reward,normalised_cost\n"
        "BallRun,BC,0.67,11.38\nBallRun,FISOR,0.18,0\nCarRun,FISOR,0.73,0.14\n"
    )
    made = study(
        **{"grid": None, "tasks": ["BallRun"], "figure": "reward_against_cost"},
        variants={"BC": {"method": "BC"}, "FISOR": {}},
        columns=["normalised_reward", "normalised_cost", "violation_from_feasible_starts"],
        paper="paper/table.csv",
        only_safe="FISOR",
    )
    cloning, fisor = made.experiments((), {})

    def metrics(method: str, cost: dict[str, float | None]) -> dict[str, Any]:
        reward = {"mean": 0.5, "low": 0.4, "high": 0.6}
        return {"BallRun": {method: {"normalised_reward": reward, "normalised_cost": cost}}}

    found = {
        cloning.name: metrics("BC", {"mean": 9.0, "low": 8.0, "high": 10.0}),
        fisor.name: metrics("FISOR", {"mean": 0.0, "low": None, "high": None}),
    }
    long = tables.long_table(made, [cloning, fisor], found)
    assert tables.study_table(made, long).splitlines() == [
        "| task | variant | normalised reward | paper's normalised reward | normalised cost | "
        "paper's normalised cost |",
        "| --- | --- | --- | --- | --- | --- |",
        "| BallRun | BC | 0.500 [0.400, 0.600] | 0.67 | 9.000 [8.000, 10.000] | 11.38 |",
        "| BallRun | FISOR | 0.500 [0.400, 0.600] | 0.18 | 0.000 | 0.00 |",
    ]
    assert "**seen**, on the 1 task" in tables.only_safe_in_words("FISOR", long)
    assert tables.only_safe_in_words("FISOR", long.filter(variant="FISOR")) == ""
    estimates = tables.estimates_of(long, "BallRun")
    assert estimates["BC"]["normalised_cost"] == (9, 8, 10)
    assert np.isnan(estimates["FISOR"]["normalised_cost"].low)


def test_table_of_variants_and_lines(study: Callable[..., Study], tmp_path: Path) -> None:
    """A row a combination; figures of the region have no interval."""
    made = study(columns=["normalised_reward", "mean_intersection_over_union"])
    experiments = made.experiments((), {})
    long = tables.long_table(made, experiments, {e.name: METRICS for e in experiments[:3]})
    lines = tables.study_table(made, long).splitlines()
    assert lines[2] == "| PointRobot | tau = 0.8, N = 1 | 0.500 [0.400, 0.600] | 0.900 |"
    assert lines[5] == "| PointRobot | tau = 0.9, N = 16 | failed | failed |"
    pictures.lines(tmp_path / "lines.png", made, long)
    assert (tmp_path / "lines.png").read_bytes().startswith(b"\x89PNG")


def test_paired_difference_is_students_interval() -> None:
    """By hand: differences 1, 2, 3 have mean 2, deviation 1, t(0.975, 2) = 4.302653."""
    difference = claims.paired_difference(np.array([1.0, 2.0, 3.0]), np.zeros(3))
    half = 4.302653 / np.sqrt(3)
    np.testing.assert_allclose(difference, (2, 2 - half, 2 + half), rtol=1e-6)


@pytest.mark.parametrize(
    ("higher", "verdict"),
    [([2, 2.1, 1.9], "seen"), ([2, 0, 1], "not seen"), ([0, 0.1, -0.1], "opposite seen")],
)
def test_a_claim_is_seen_only_where_the_interval_excludes_0(
    higher: list[float], verdict: str
) -> None:
    """Against 1 for every seed, worked out by hand: half widths 0.25, 2.5 and 0.25."""
    assert claims.paired_difference(np.array(higher), np.ones(3)).verdict == verdict


def test_seeds_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(InputError, match="3 against 2"):
        claims.paired_difference(np.ones(3), np.ones(2))
    with pytest.raises(InputError, match="1 against 1"):
        claims.paired_difference(np.ones(1), np.ones(1))


class Episodes:
    """A revision whose rollouts are given."""

    name = "given"

    def __init__(self, violating_steps: list[int]) -> None:
        self._steps = violating_steps

    def rollouts(self, task: str, method: str) -> pl.DataFrame:
        """Two seeds, two episodes each: the first from a feasible start, the second not."""
        return pl.DataFrame(
            {
                "seed": [0, 0, 1, 1],
                "truly_feasible": [True, False, True, False],
                "violating_steps": self._steps,
            }
        )


def test_claims_table_and_figure(tmp_path: Path, study: Callable[..., Study]) -> None:
    """Per-seed values come from the right episodes; a failed experiment is said."""
    claim = dict(
        claim="Recovery", measure="violating steps from infeasible starts", lower="A", higher="B"
    )
    other = claim | {"lower": "A", "higher": "C"}
    made = study(
        **{"grid": None, "columns": None, "figure": "claims"},
        variants={"A": {"N": 1}, "B": {"N": 2}, "C": {"N": 3}},
        claims=[claim, other],
    )
    revisions: Any = {
        "A": (Episodes([9, 1, 9, 2]), "PointRobot", "FISOR"),
        "B": (Episodes([0, 5, 0, 7]), "PointRobot", "FISOR"),
    }
    rows = claims.checked_claims(made.claims, revisions)
    np.testing.assert_array_equal(rows[0]["lower_values"], [1, 2])
    np.testing.assert_array_equal(rows[0]["higher_values"], [5, 7])
    assert rows[0]["difference"].mean == 4.5
    flat, text = tables.claims_table(rows)
    # Differences 4 and 5: half width 12.706 * 0.7071 / 1.4142 = 6.353.
    assert flat["verdict"].to_list() == ["not seen", "failed"]
    assert "| A: 1.500 (1.000 to 2.000) | B: 6.000 (5.000 to 7.000) |" in text
    assert "4.500 [-1.853, 10.853]" in text
    pictures.claim_intervals(tmp_path / "claims.png", rows)
    assert (tmp_path / "claims.png").read_bytes().startswith(b"\x89PNG")
