"""The label stage: h from the costs or from the dataset, with its summary."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fisor.errors import InputError
from stages import label

# Four episodes of 1, 3, 1 and 2 steps; the second and the last violate, by cost and by h.
EPISODE = [0, 1, 1, 1, 2, 3, 3]
STEP = [0, 0, 1, 2, 0, 0, 1]
REWARD = [1.0, 0.5, 0.5, -3.0, 2.0, 0.25, 0.25]
COST = [0.0, 0.0, 0.25, 3.0, 0.0, 0.0, 1.0]
DENSE = [-0.5, 0.0, 0.125, -0.25, -1.0, 0.5, -2.0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the stage runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, dense: bool, floor: str = "null", **changes: Any) -> Path:
    """Label the dataset above, M = 7 and a cost limit of 2; None leaves a column out."""
    task = {"dense_violation": dense, "cost_limit": 2}
    params = f"M: 7\nviolation_floor: {floor}\nsize: paper\nsizes: {{paper: {{}}}}\n"
    (folder / "params.yaml").write_text(params)
    (folder / "tasks.yaml").write_text(json.dumps({"Toy": task}))
    columns = {
        "episode": EPISODE,
        "step": STEP,
        "reward": REWARD,
        "cost": COST,
        "violation": DENSE,
    } | changes
    table = pa.table({k: v for k, v in columns.items() if v is not None})
    pq.write_table(table, folder / "task.parquet")
    label.main("Toy", "task.parquet", "labels")
    return folder / "labels"


@pytest.mark.parametrize(
    ("dense", "expected", "share"),
    [
        (False, [-1, -1, 7, 7, -1, -1, 7], 3 / 7),  # rows 2, 3 and 6
        (True, DENSE, 2 / 7),  # rows 2 and 5
    ],
    ids=["by cost", "dense"],
)
def test_labels_and_summary_by_hand(
    folder: Path, dense: bool, expected: list[float], share: float
) -> None:
    """M and the cost limit are as told; without a dense h, none is looked for."""
    labels = run(folder, dense, **({} if dense else {"violation": None}))
    table = pq.read_table(labels / "violations.parquet")
    assert table.column_names == ["violation"]
    np.testing.assert_array_equal(table["violation"], expected)
    assert json.loads((labels / "summary.json").read_text()) == {
        "transitions": 7,
        "violating_transitions_share": share,
        "episodes": 4,
        "safe_episodes": 2,
        "episodes_within_cost_limit": 3,
        "lowest_return": -2,
        "highest_return": 2,
        "lowest_cost": 0,
        "highest_cost": 3.25,
        "changes": {},
    }
    episodes = pq.read_table(labels / "episodes.parquet")
    np.testing.assert_array_equal(episodes["returns"], [1, -2, 2, 0.5])
    np.testing.assert_array_equal(episodes["costs"], [0, 3.25, 0, 1])
    np.testing.assert_array_equal(episodes["steps"], [1, 3, 1, 2])


def test_a_floor_raises_a_dense_h_alone(folder: Path) -> None:
    """A floor of -0.25 raises rows 0, 4 and 6 to it, and leaves a sparse h of -1 as it is."""
    violations = run(folder, True, floor="-0.25") / "violations.parquet"
    expected = [-0.25, 0, 0.125, -0.25, -0.25, 0.5, -0.25]
    np.testing.assert_array_equal(pq.read_table(violations)["violation"], expected)
    violations = run(folder, False, floor="-0.25") / "violations.parquet"
    np.testing.assert_array_equal(pq.read_table(violations)["violation"], [-1, -1, 7, 7, -1, -1, 7])


@pytest.mark.parametrize(
    ("dense", "changes", "message"),
    [
        (False, {"cost": None}, "column `cost` is missing"),
        (True, {"cost": None}, "column `cost` is missing"),
        (True, {"reward": None}, "column `reward` is missing"),
        (True, {"violation": None}, "column `violation` is missing"),
        (False, {"cost": [*COST[:6], np.nan]}, "row 6 of `cost` is NaN or infinite"),
        (True, {"violation": [*DENSE[:6], np.inf]}, "row 6 of `violation` is NaN or infinite"),
        (False, {"episode": [0, 1, 1, 1, 3, 4, 4]}, "row 4 belongs to episode 3"),
        (False, {"step": [0, 0, 1, 2, 0, 1, 0]}, "row 5 has step 1"),
    ],
)
def test_bad_input_leaves_no_labels(
    folder: Path, dense: bool, changes: dict[str, Any], message: str
) -> None:
    """The file, the column and the row are named, and no folder of labels appears."""
    with pytest.raises(InputError) as raised:
        run(folder, dense, **changes)
    assert str(raised.value).startswith(f"task.parquet: {message}")
    assert list(folder.glob("*labels*")) == []
