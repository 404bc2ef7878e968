"""The cost model's items and seconds, by hand from params.yaml, tasks.yaml and made-up rates."""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from project import ROOT, checked

from benchmarks.cost_model import (
    METHODS,
    OVERHEAD_SECONDS,
    Rate,
    Rates,
    item_seconds,
    read_rates,
    shares,
    table_project,
    table_tasks,
)
from fisor.cluster.pipeline import Item
from fisor.errors import InputError

# Of a library that DVC uses.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

UPDATES = {"train_feasibility": 1e-3, "train_reward": 2e-3, "train_policy": 3e-3, "BC": 4e-3}
ACTING = {"FISOR": 5e-3, "BC": 6e-3}
RATES = Rates(
    {name: Rate(seconds, 72, "a machine") for name, seconds in UPDATES.items()},
    {name: Rate(seconds, 8, "a machine") for name, seconds in ACTING.items()},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("table")


@pytest.fixture(scope="module")
def items(folder: Path) -> Mapping[str, Item]:
    """Of the real dvc.yaml, for two tasks."""
    return table_project(ROOT, folder, ["CarRun", "easymean"])


def test_the_table_has_every_task_and_method_once(items: Mapping[str, Item]) -> None:
    """Per task: 3 stages for data, 3 trainings of FISOR, 6 of baselines, 7 evaluations, 7 clips.

    Beside them the code's stages (one, and one per baseline), the report and Vega's script.
    """
    assert len(table_tasks(ROOT)) == 26
    assert len(items) == 2 * (3 + 3 + 6 + 7 + 7) + 1 + 6 + 2
    assert all(item.stale for item in items.values())
    assert "train_feasibility@CarRun" in items["train_policy@CarRun-FISOR"].needs


@pytest.mark.parametrize(
    ("item", "by_updates", "by_acting"),
    [
        ("train_policy@CarRun-FISOR", 1e6 * 2.5 * 3e-3, 0),  # steps, cost of the seeds, seconds
        ("train_baseline@CarRun-BC", 1e5 * 2.5 * 4e-3, 0),
        # 20 episodes, 10 of each of 3 seeds at once; the horizon; seconds.
        ("evaluate@CarRun-FISOR", 0, 2 * 30 * 200 * 5e-3),
        ("record_baseline@CarRun-BC", 0, 2 * 30 * 200 * 6e-3),  # 2 clips
        ("evaluate@easymean-FISOR", 0, 10 * 6 * 1000 * 5e-3),  # MetaDrive: 2 episodes at once
        ("acquire@CarRun-all", 0, 0),
        ("code", 0, 0),
    ],
)
def test_seconds_by_hand(
    items: Mapping[str, Item], folder: Path, monkeypatch: pytest.MonkeyPatch,
    item: str, by_updates: float, by_acting: float,
) -> None:  # fmt: skip
    """At the paper's sizes, beside the overhead."""
    assert item in items
    monkeypatch.chdir(folder)
    expected = OVERHEAD_SECONDS + by_updates + by_acting
    assert item_seconds(item, RATES, seeds_cost=2.5) == pytest.approx(expected)


def test_shares_add_up() -> None:
    """The critics are FISOR's; a recording is acting; small stages are counted together."""
    seconds = {"train_reward@A": 3600.0, "train_policy@A-FISOR": 7200.0, "code": 1800.0}
    seconds |= {"code_baseline@BCQ-Lag": 1800.0, "evaluate_baseline@A-BC": 360.0}
    seconds |= {"record_baseline@A-BC": 360.0, "train_baseline@A-BC": 720.0}
    expected = {"train FISOR": 3, "the others": 1, "act as BC": 0.2, "train BC": 0.2}
    assert shares(seconds) == pytest.approx(expected)


def results(path: Path, hardware: str, milliseconds: float, **parts: Any) -> Path:
    """A file as `python -m benchmarks` writes it, with one time where none is given."""
    rows = {
        part: [{"milliseconds": milliseconds} | row for row in of] for part, of in parts.items()
    }
    path.write_text(json.dumps({"hardware": hardware} | rows))
    return path


def test_rates_of_another_hardware_are_converted(tmp_path: Path) -> None:
    """Its operations at the named training's rate on this one; a time without them as it is.

    Of several observations the largest, and the time of a call divided by its episodes.
    """
    own = ["train_feasibility", "train_reward", "train_policy"]
    each = {"gigaoperations": 4.0}
    trainings = [
        {"training": name, "observation_dim": dim} | each for name in own for dim in (72, 8)
    ]
    trainings[0]["milliseconds"] = 8.0
    gpu = results(tmp_path / "gpu.json", "a GPU", 2.0, baselines=trainings)
    baselines = [
        {"training": name, "observation_dim": 72, "gigaoperations": 10.0}
        for name in (*own, *METHODS)
    ]
    acting = [
        {"method": name, "episodes": 60, "observation_dim": 8, "gigaoperations": 3.0}
        for name in METHODS
    ]
    batches = [{"batch": 64, "observation_dim": 8}, {"batch": 1, "observation_dim": 8}]
    batches += [{"batch": 64, "observation_dim": 8, "policy": "one pass", "milliseconds": 0.1}]
    cpu = results(
        tmp_path / "cpu.json", "cores", 30.0,
        baselines=baselines, acting_baselines=acting, acting=batches,
    )  # fmt: skip

    here = read_rates([cpu], "train_policy")
    assert here.updates["CDT"] == Rate(30e-3, 72, "measured on cores")
    assert here.acting["CDT"] == Rate(30e-3 / 60, 8, "measured on cores")
    for like, per_gigaoperation in (("train_feasibility", 2e-3), ("train_policy", 0.5e-3)):
        there = read_rates([gpu, cpu], like)
        source = f"assumed: operations as fast as those of {like}"
        assert there.updates["train_policy"] == Rate(2e-3, 72, "measured on a GPU")
        assert there.updates["CDT"] == Rate(10 * per_gigaoperation, 72, source)
        assert there.acting["CDT"] == Rate(3 * per_gigaoperation / 60, 8, source)
        assert there.acting["FISOR"] == Rate(30e-3 / 64, 8, "measured on cores")


def test_what_is_missing_is_named_with_its_command(tmp_path: Path) -> None:
    """Methods without a time, and no time of the training that others are assumed to be like."""
    trainings = [
        {"training": name, "observation_dim": 8, "gigaoperations": 1.0}
        for name in ("train_feasibility", "train_reward", "train_policy", *METHODS)
    ]
    some = results(tmp_path / "some.json", "a GPU", 2.0, baselines=trainings[:3])
    with pytest.raises(InputError, match=r"BC, .*TREBI; `python -m benchmarks baselines`"):
        read_rates([some], "train_policy")
    acting = [{"method": name, "episodes": 1, "observation_dim": 8} for name in METHODS]
    rest = results(
        tmp_path / "rest.json", "cores", 2.0, baselines=trainings,
        acting_baselines=acting, acting=[{"batch": 64, "observation_dim": 8}],
    )  # fmt: skip
    nothing = results(tmp_path / "nothing.json", "a GPU", 2.0)
    with pytest.raises(InputError, match="no time of train_policy for `--like`"):
        read_rates([nothing, rest], "train_policy")


@pytest.mark.slow
def test_the_figures_of_the_documentation() -> None:
    """docs/cluster.md has the hours that its three commands print."""
    text = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```\n(cores=.*?)```", text, re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = checked(ROOT, "env", f"PATH={path}", "bash", "-ec", block)
    for workers in (1, 8, 64):
        row = rf"^\| {workers} \| "
        cells = re.findall(rf"{row}([\d ]+\d)[^|]*\| ([\d.]+) to ([\d.]+) \|$", text, re.MULTILINE)
        documented = [float(hours.replace(" ", "")) for hours in cells[0]]
        printed = re.findall(rf"{row}([\d.,]+) ", said, re.MULTILINE)
        cores, most, least = (float(hours.replace(",", "")) for hours in printed)
        assert documented == pytest.approx([cores, least, most], rel=0.05)  # two digits
