"""The dataset's section of the report, from the label stage's files."""

import dataclasses
import json
from pathlib import Path

import polars as pl
import pytest
from project import ROOT

from fisor.config.files import load_task
from fisor.config.task import Acquire, Task
from fisor.errors import InputError
from fisor.report import data_card

SUMMARY = {
    "transitions": 2000,
    "violating_transitions_share": 0.125,
    "episodes": 4,
    "safe_episodes": 1,
    "episodes_within_cost_limit": 3,
    "lowest_return": -2.0,
    "highest_return": 7.5,
    "lowest_cost": 0.0,
    "highest_cost": 9.0,
    "changes": {"unusable_rows": 1234, "cut_episodes": 0},
}


@pytest.fixture
def task() -> Task:
    entry = load_task("PointRobot", ROOT / "tasks.yaml")
    return dataclasses.replace(entry, cost_limit=5, reference_returns=(-3.0, 8.25))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "summary.json").write_text(json.dumps(SUMMARY))
    episodes = {"returns": [-2.0, 7.5, 1.0, 0.0], "costs": [0.0, 9.0, 5.0, 2.0]}
    pl.DataFrame(episodes).write_parquet(tmp_path / "labels" / "episodes.parquet")
    return tmp_path / "labels"


def test_section_by_hand(tmp_path: Path, labels: Path, task: Task) -> None:
    """Each fact in its line, shares of episodes as counts and per cent; the picture is drawn."""
    found = data_card.card(task, labels)
    figures, text = (
        found.summary,
        data_card.section(task, found, tmp_path / "a.png", "figures/a.png"),
    )
    assert figures == SUMMARY
    for line in (
        "| episodes | 4 |",
        "| transitions | 2,000 |",
        "| return of an episode | -2.00 to 7.50 |",
        "| returns of normalised reward 0 and 1 | -3.00 and 8.25 |",
        "| cost of an episode | 0.00 to 9.00 |",
        "| episodes within the cost limit of 5 | 3 (75.0 %) |",
        "| episodes without a violation | 1 (25.0 %) |",
        "| transitions that violate | 12.5 % |",
        "| changed on conversion | unusable rows: 1,234 |",
    ):
        assert line in text.splitlines()
    assert "](figures/a.png)" in text
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_same_dataset_gives_the_same_picture(tmp_path: Path, labels: Path, task: Task) -> None:
    """The picture is a function of the dataset, byte by byte."""
    for name in ("a.png", "b.png"):
        data_card.section(task, data_card.card(task, labels), tmp_path / name, name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_source_tells_dsrls_data_from_ours(task: Task) -> None:
    """A file of DSRL is named; what was collected is said not to be DSRL's."""
    dsrl = dataclasses.replace(task, acquire=Acquire(source="dsrl", file="x-80-9.hdf5"))
    assert data_card.source(dsrl) == "DSRL's file `x-80-9.hdf5`"
    assert "not DSRL's" in data_card.source(task)


@pytest.mark.parametrize("name", ["summary.json", "episodes.parquet"])
def test_missing_file_is_named(name: str, tmp_path: Path, labels: Path, task: Task) -> None:
    """A labels folder of an older run, without the card, is an error that names the file."""
    (labels / name).unlink()
    with pytest.raises(InputError, match=name):
        data_card.card(task, labels)


def test_a_collected_dataset_says_what_it_covers(tmp_path: Path, labels: Path, task: Task) -> None:
    """Returns -2 to 7.5 of -3 to 8.25 are 84 %; costs 0 to 9 of 0 to 20 are 45 %, which is said."""
    acquire = Acquire(source="collect", environment_steps=1, episodes=1, highest_cost=20.0, seed=0)
    collected = dataclasses.replace(task, acquire=acquire)
    found = data_card.card(collected, labels)
    figures = found.summary
    text = data_card.section(collected, found, tmp_path / "a.png", "figures/a.png")
    assert "| covered of the returns of normalised reward 0 to 1 | 84 % |" in text
    assert "| covered of the costs 0 to 20 | 45 % (**less than half**" in text
    assert figures["covered_share_of_returns"] == pytest.approx(9.5 / 11.25)
    assert figures["covered_share_of_costs"] == pytest.approx(9 / 20)
