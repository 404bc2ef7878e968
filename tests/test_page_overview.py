"""The page's tables and sentences on tasks whose scores were made by hand."""

import pytest
from scored_tasks import scored_tasks

from fisor.evaluation.intervals import Estimate
from fisor.page import overview
from fisor.page.cells import MISSING, Cell, estimate_cell
from fisor.report.tables import Scored

NAN = float("nan")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Scored]:
    return scored_tasks(tmp_path_factory.mktemp("rollouts"))


def row_of(tasks: list[Scored], name: str) -> dict[str, Cell]:
    headings, rows = overview.matrix(tasks)
    found = next(row for row in rows if row[0].text.split()[0] == name)
    return dict(zip(headings, found, strict=True))


def test_the_best_safe_method_is_marked(tasks: list[Scored]) -> None:
    """On DroneRun BC has the highest reward, unsafely; CPQ and `own` share the best safe one."""
    row = row_of(tasks, "DroneRun")
    kinds = {name: cell.kind for name, cell in row.items() if name != "task"}
    assert kinds == {"FISOR": "safe", "BC": "unsafe", "CPQ": "best", "own": "best"}
    assert row["BC"].text == "0.90 / 3.00"
    assert row["BC"].sort == pytest.approx(0.9)


def test_what_was_not_run_says_so(tasks: list[Scored]) -> None:
    assert row_of(tasks, "BallRun")["own"] == MISSING
    headings, rows = overview.details(tasks)
    found = [row for row in rows if [cell.text for cell in row[:2]] == ["BallRun", "own"]]
    assert [cell.text for cell in found[0][2:5]] == ["not run"] * 3
    assert len(rows) == 4 * 4  # tasks x methods
    assert all(len(row) == len(headings) for row in rows)


def test_a_task_on_collected_data_is_marked(tasks: list[Scored]) -> None:
    assert row_of(tasks, "Elsewhere")["task"].text == "Elsewhere †"


def test_the_verdict_names_who_is_unsafe_where(tasks: list[Scored]) -> None:
    """All seeds agree, so a mean is its own interval; at exactly 1 nothing is decided."""
    said = " ".join(overview.verdicts([t for t in tasks if t.task.name != "Elsewhere"]))
    assert "Safe on all 3 tasks: FISOR." in said
    assert "Unsafe: BC (1 of 3 tasks), CPQ (2 of 3 tasks) and own (1 of 2 tasks)." in said


def test_nobody_is_safe_where_all_costs_are_high(tasks: list[Scored]) -> None:
    said = overview.verdicts(tasks)
    assert said[0] == "No method is certain to be safe on all 4 tasks."


def test_aggregates_take_tasks_that_all_methods_ran_on(tasks: list[Scored]) -> None:
    """BallRun is left out, as `own` has not run there; interquartile means by hand."""
    charts = {one["label"]: one["chart"] for one in overview.aggregate_charts(tasks)}
    rewards = charts["Interquartile mean of the normalised reward"]
    data = next(iter(rewards["datasets"].values())) if "datasets" in rewards else None
    rows = data or rewards["data"]["values"]
    means = {row["method"]: row["mean"] for row in rows}
    # FISOR's six runs: 0.5, 0.5, 9, 9, 1, 1; without a quarter at each end: 0.5, 1, 1, 9.
    assert means["FISOR"] == pytest.approx((0.5 + 1 + 1 + 9) / 4)


@pytest.mark.parametrize(
    ("estimate", "text", "detail"),
    [
        (Estimate(-0.001, -0.02, 0.01), "0.00", "[−0.02, 0.01]"),
        (Estimate(1.5, NAN, NAN), "1.50", ""),
        (Estimate(NAN, NAN, NAN), "–", ""),
    ],
)
def test_a_cell_of_an_estimate(estimate: Estimate, text: str, detail: str) -> None:
    """No minus zero, no empty brackets, no NaN."""
    cell = estimate_cell(estimate)
    assert (cell.text, cell.detail) == (text, detail)
