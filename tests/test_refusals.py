"""Odd input beside what the modules' own tests hold: each is an `InputError` that names the place.

A stage prints such an error in one line and leaves no output; anything else would be a traceback.
"""

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from configured import section
from project import ROOT, edit_yaml

from fisor.config.data import ConvertStage
from fisor.config.files import load_task
from fisor.data import conversion, loading
from fisor.errors import InputError

COLUMNS: dict[str, Any] = {
    "episode": [0, 0, 1],
    "step": [0, 1, 0],
    "observation": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]],
    "action": [[0.5], [-0.5], [0.25]],
    "next_observation": [[2.0, 3.0], [4.0, 5.0], [6.0, 7.0]],
    "reward": [1.0, 2.0, 3.0],
    "cost": [0.0, 1.0, 0.0],
    "terminal": [False, True, False],
    "timeout": [False, False, True],
}
FLOATS = pa.list_(pa.float32())


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"episode": [-1, -1, 0]}, "row 0 belongs to episode -1 where episode 0 is expected"),
        ({"observation": pa.array([[]] * 3, FLOATS)}, "`observation`"),
        ({"action": pa.array([], FLOATS)}, "holds no transition"),
        ({"action": [["a"], ["b"], ["c"]]}, "column `action` must hold lists of numbers"),
        ({"action": [[[0.5]], [[0.5]], [[0.5]]]}, "column `action` must hold lists of numbers"),
        ({"observation": [[0.0, 1.0], [1e300, 3.0], [4.0, 5.0]]}, "row 1 of `observation`"),
        ({"reward": [1.0, 2.0, -1e300]}, "row 2 of `reward`"),
    ],
    ids=["episode -1", "no entries", "no rows", "text", "nested", "beyond float32", "reward"],
)
def test_transitions(tmp_path: Path, changes: dict[str, Any], place: str) -> None:
    """A Parquet file of another program."""
    path = tmp_path / "task.parquet"
    columns = COLUMNS | changes
    rows = min(len(values) for values in columns.values())
    pq.write_table(pa.table({name: values[:rows] for name, values in columns.items()}), path)
    with pytest.raises(InputError) as raised:
        loading.load(path, None, timeouts_are_terminal=True)
    assert str(raised.value).startswith(f"{path}: ")
    assert place in str(raised.value)


FIELDS = {
    "observations": np.zeros((3, 2), np.float32),
    "actions": np.zeros((3, 1), np.float32),
    "next_observations": np.zeros((3, 2), np.float32),
    "rewards": np.zeros(3, np.float32),
    "costs": np.zeros(3, np.float32),
    "terminals": np.array([False, False, True]),
    "timeouts": np.zeros(3, bool),
    "violations": np.zeros(3, np.float32),
}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rewards", np.float32(1.0)),
        ("rewards", np.array([b"a", b"b", b"c"])),
        ("costs", None),
        ("rewards", None),
        ("costs", np.zeros(3, complex)),
        ("rewards", np.array([0.0, 1e300, 0.0])),
    ],
    ids=["one number", "text", "a group", "rewards a group", "complex", "beyond float32"],
)
def test_hdf5(tmp_path: Path, name: str, values: Any) -> None:
    """A field that is no array of real numbers, `None` standing for a group."""
    raw, path = tmp_path / "raw.hdf5", tmp_path / "task.parquet"
    with h5py.File(raw, "w") as file:
        for field, zeros in FIELDS.items():
            if field != name:
                file[field] = zeros
            elif values is None:
                file.create_group(field)
            else:
                file[field] = values
    with pytest.raises(InputError) as raised:
        conversion.convert(raw, path, section(ConvertStage))
    assert str(raised.value).startswith(f"{raw}: ")
    assert name in str(raised.value)
    assert list(tmp_path.iterdir()) == [raw]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("environment", 5),
        ("horizon_steps", "300"),
        ("horizon_steps", 0),
        ("horizon_steps", 1.5),
        ("cost_limit", "five"),
        ("cost_limit", -1),
        ("reference_returns", [float("nan"), 1.0]),
        ("reference_returns", [False, True]),
        ("dense_violation", "yes please"),
        ("record_observations", 1),
        ("acquire", "collect"),
        ("overrides", ["feasibility"]),
        ("overrides", None),
        ("suite", 3),
        ("paper", "no"),
    ],
)
def test_task_values(tmp_path: Path, key: str, value: Any) -> None:
    """A value of a task's entry that is of another type or out of range."""
    path = tmp_path / "tasks.yaml"
    shutil.copy(ROOT / "tasks.yaml", path)
    edit_yaml(path, {"PointRobot": {key: value}})
    with pytest.raises(InputError) as raised:
        load_task("PointRobot", path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "PointRobot" in str(raised.value)
    assert key in str(raised.value)


@pytest.mark.parametrize("overrides", [None, ["hidden_units"], 3])
def test_task_overrides(tmp_path: Path, overrides: Any) -> None:
    """A stage's overrides that are no mapping, such as a heading left empty."""
    path = tmp_path / "tasks.yaml"
    shutil.copy(ROOT / "tasks.yaml", path)
    edit_yaml(path, {"PointRobot": {"overrides": {"feasibility": overrides}}})
    with pytest.raises(InputError) as raised:
        load_task("PointRobot", path)
    assert f"{path}: `PointRobot.overrides.feasibility` must be" in str(raised.value)
