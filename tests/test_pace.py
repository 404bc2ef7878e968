"""The line on a long training: when it is printed, what it says, and that it is printed once."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from project import ROOT

from fisor.config.params import Params
from fisor.training import pace
from fisor.training.fit import fit
from stages import command

ADVICE = "`dvc exp run -S size=quick` trains in minutes"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A list whose only item is the time in seconds."""
    now = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def lines(
    clock: list[float],
    capsys: pytest.CaptureFixture[str],
    advice: str,
    chunks: list[tuple[int, float]],
) -> list[str]:
    """What is printed in a training of 1 000 000 updates with chunks of (updates, seconds)."""
    measured, done = pace.Pace("train_policy Task", 1_000_000, advice), 0
    for length, seconds in chunks:
        clock[0] += seconds
        done += length
        measured.advanced(done, length)
    return capsys.readouterr().err.splitlines()


def test_a_long_training_says_so_once(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """1000 updates in 143 s are 7 per second: 998 000 take 39.6 h. Captured, so no terminal."""
    chunks = [(1000, 200.0), *[(1000, 143.0)] * 3]
    assert lines(clock, capsys, ADVICE, chunks) == [
        f"train_policy Task: about 40 h left at 6.99 updates/s; without a GPU, {ADVICE}"
    ]
    (without,) = lines(clock, capsys, "", chunks)
    assert without.endswith("at 6.99 updates/s")


def test_compilation_does_not_count(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    """The first chunk of each length compiles, for a minute here; 1000 a second are no hour."""
    chunks = [(600, 60.0), (400, 60.0), (600, 0.6), (400, 0.4)]
    assert lines(clock, capsys, ADVICE, chunks) == []


def test_training_prints_it(
    small_params: Callable[..., Params],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`fit` measures itself: above the limit one line; the advice is for processors only."""
    monkeypatch.setattr(pace, "LONG_SECONDS", 0.0)
    params = small_params(seeds=1, training_steps=12, log_every_updates=3)
    fit(
        lambda key: jnp.zeros(()),
        lambda done, batch, key: (done + 1.0, {"done": done}),
        np.zeros(3, np.float32),
        config=params,
        batch_size=1,
        name="train_x Task",
        advice=ADVICE,
    )
    (line,) = [text for text in capsys.readouterr().err.splitlines() if " left at " in text]
    assert line.startswith("train_x Task: ")
    assert line.endswith(ADVICE) == (jax.default_backend() == "cpu")


@pytest.mark.parametrize(("size", "advised"), [("paper", True), ("quick", False)])
def test_the_advice_is_for_the_papers_size(
    size: str, advised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`size=quick` is not advised to those who use it."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"size": size}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    assert bool(command.advice_on_size()) == advised
