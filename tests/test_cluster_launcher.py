"""The launcher by itself: order, failures, lost workers, what need not run; and its progress."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fisor.cluster.engine import Ended
from fisor.cluster.launcher import State, launch, log_path
from fisor.cluster.local import shares
from fisor.cluster.pipeline import Item
from fisor.cluster.progress import Shown, in_words, seconds_left


class Script:
    """An engine that ends the oldest item in each turn, as it is told for each of its tries."""

    def __init__(self, room: int = 2, **outcomes: Sequence[str]) -> None:
        self._room = room
        self._outcomes = {name: list(each) for name, each in outcomes.items()}
        self._running: list[str] = []
        self.submitted: list[str] = []
        self.most_at_once, self.closed = 0, False

    def has_room(self) -> bool:
        return len(self._running) < self._room

    def submit(self, name: str, log: Path) -> None:
        assert log.parent.is_dir()
        self._running.append(name)
        self.submitted.append(name)
        self.most_at_once = max(self.most_at_once, len(self._running))

    def wait(self, seconds: float) -> Sequence[Ended]:
        name = self._running.pop(0)
        left = self._outcomes.get(name)
        outcome = left.pop(0) if left else "succeeds"
        return [Ended(name, outcome == "succeeds", lost=outcome == "is lost")]

    def places(self) -> dict[str, str]:
        return dict.fromkeys(self._running, "a worker")

    def close(self) -> None:
        self.closed = True


def item(name: str, *needs: str, stale: bool = True, travels: bool = True) -> Item:
    return Item(name, {need: [f"{need}.out"] for need in needs}, stale, False, travels)


def diamonds(*items: Item) -> dict[str, Item]:
    return {one.name: one for one in items}


ITEMS = diamonds(
    item("data"), item("left", "data"), item("right", "data"), item("policy", "left", "right"),
    item("other"), item("report", "policy", "other", travels=False),
)  # fmt: skip


def launched(
    engine: Script,
    items: Mapping[str, Item],
    folder: Path,
    lock: Mapping[str, Any] | None = None,
    keeps_uncached: bool = True,
) -> tuple[dict[str, State], str]:
    said = io.StringIO()
    states = launch(items, engine, Shown(items, said), folder, lambda: lock or {}, keeps_uncached)
    assert engine.closed
    return states, said.getvalue()


def test_an_item_runs_once_all_that_it_needs_are_done(tmp_path: Path) -> None:
    """Every item once, after those that it depends on, and at most as many as there is room for."""
    engine = Script(room=2)
    states, said = launched(engine, ITEMS, tmp_path)
    assert set(states.values()) == {State.DONE}
    assert sorted(engine.submitted) == sorted(ITEMS)
    place = {name: index for index, name in enumerate(engine.submitted)}
    assert all(place[need] < place[one.name] for one in ITEMS.values() for need in one.needs)
    assert engine.most_at_once == 2
    assert re.search(r"^left: on a worker$", said, re.MULTILINE)
    assert re.search(r"^policy: done after 0 s; 1 to go, about 0 s$", said, re.MULTILINE)


def test_a_failure_stops_only_what_depends_on_it(tmp_path: Path) -> None:
    """The other items go on; the failed one's log is named; what depends on it is skipped."""
    states, said = launched(Script(left=["fails"]), ITEMS, tmp_path)
    assert states["left"] is State.FAILED
    assert {name for name, state in states.items() if state is State.SKIPPED} == {
        "policy",
        "report",
    }
    assert {name for name, state in states.items() if state is State.DONE} == {
        *("data", "right", "other")
    }
    assert f"left: failed after 0 s (log: {log_path(tmp_path, 'left')})" in said


def test_a_lost_worker_is_no_failure_but_not_for_ever(tmp_path: Path) -> None:
    """An item whose worker was killed runs again; it fails when that has happened three times."""
    engine = Script(left=["is lost"], right=["is lost"] * 3)
    states, said = launched(engine, ITEMS, tmp_path)
    assert engine.submitted.count("left") == 2
    assert states["left"] is State.DONE
    assert engine.submitted.count("right") == 3
    assert states["right"] is State.FAILED
    assert said.count("its worker was lost; once more") == 3


@pytest.mark.parametrize("unchanged", [True, False])
def test_what_has_the_same_inputs_does_not_run(tmp_path: Path, unchanged: bool) -> None:
    """Stage `code` ran because of a comment and made the same file: nothing below it runs.

    If it made another file, `train` runs and makes the same one as before; `report` stays.
    """
    items = diamonds(
        item("code"), item("train", "code", stale=False), item("report", "train", stale=False)
    )
    md5 = "a" if unchanged else "b"
    lock = {
        "code": {"outs": [{"path": "code.out", "md5": md5}]},
        "train": {
            "deps": [{"path": "code.out", "md5": "a"}],
            "outs": [{"path": "train.out", "md5": "c"}],
        },
        "report": {"deps": [{"path": "train.out", "md5": "c"}], "outs": []},
    }
    engine = Script()
    states, _ = launched(engine, items, tmp_path, lock)
    assert engine.submitted == (["code"] if unchanged else ["code", "train"])
    assert set(states.values()) == {State.DONE}


def test_a_dependency_on_a_folder_around_an_output_counts_as_changed(tmp_path: Path) -> None:
    """Its hash is no single output's, so DVC is asked."""
    report = Item("report", {"code": []}, False, False, True)
    engine = Script()
    launched(engine, diamonds(item("code"), report), tmp_path)
    assert engine.submitted == ["code", "report"]


def test_what_git_tracks_is_left_to_the_head(tmp_path: Path) -> None:
    """A worker with a folder of its own cannot bring outputs that DVC does not cache."""
    items = {**ITEMS, "after": item("after", "report")}
    engine = Script()
    states, _ = launched(engine, items, tmp_path, keeps_uncached=False)
    assert states["report"] is states["after"] is State.HEAD
    assert sorted(engine.submitted) == sorted(ITEMS.keys() - {"report"})


def test_running_items_are_stopped_when_the_launcher_is(tmp_path: Path) -> None:
    """An interrupt closes the engine before it goes on its way."""

    class Interrupted(Script):
        def wait(self, seconds: float) -> Sequence[Ended]:
            raise KeyboardInterrupt

    engine = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        launched(engine, ITEMS, tmp_path)
    assert engine.closed


@pytest.mark.parametrize(
    ("cores", "workers", "expected"),
    [
        ([0, 1], 2, [[0], [1]]),
        ([0, 1, 4, 5], 2, [[0, 1], [4, 5]]),
        ([0, 1, 2], 2, [[0], [1, 2]]),
        ([3, 7], 3, [[3], [7], [3]]),
    ],
)
def test_each_worker_has_its_share_of_the_cores(
    cores: list[int], workers: int, expected: list[list[int]]
) -> None:
    """Neighbours, none left idle, none shared unless there are more workers than cores."""
    assert shares(cores, workers) == expected


def test_time_left_by_hand() -> None:
    """Two workers; `train` took 10 s on the mean, `label` 2 s; of `report` nothing is known: 6 s.

    Waiting: 10 + 6; running since 4 s: 10 - 4 = 6. Halved: 11 s. With ten workers the one that runs
    still needs its 6 s.
    """
    took = {"train": [8.0, 12.0], "label": [2.0]}
    args = ({"train@c": 4.0}, ["train@d", "report"], took)
    assert seconds_left(*args, room=2) == pytest.approx(11)
    assert seconds_left(*args, room=10) == pytest.approx(6)
    assert seconds_left({}, ["train@d"], {}, room=2) is None
    assert [in_words(s) for s in (5.4, 119, 300, 9000)] == ["5 s", "119 s", "5 min", "2.5 h"]


def test_a_terminal_gets_a_table_that_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row per stage with its counts, the running items and where, and the time left."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "30")
    stream = Terminal()
    shown = Shown(["code", "train@a", "train@b", "train@c"], stream)
    for name in ("code", "train@a", "train@b"):
        shown.changed(name, State.RUNNING)
    shown.changed("code", State.DONE)
    shown.show({"train@a": "worker 1, core 0"})
    first = stream.getvalue()
    assert re.search(r"^train +1 +2 *$", first, re.MULTILINE)
    assert re.search(r"^code +1 *$", first, re.MULTILINE)
    assert "  train@a  0 s  worker 1, core 0\n" in first
    assert "  train@b  0 s  queued\n" in first
    assert first.endswith("time left: about 0 s\n")
    shown.changed("train@a", State.FAILED, "log: here")
    assert stream.getvalue().endswith("\x1b[6A\x1b[Jtrain@a: failed after 0 s (log: here)\n")
