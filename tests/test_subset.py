"""Which episodes of a dataset are used, and that conversion leaves out exactly the others."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from configured import section

from fisor.config.data import ConvertStage
from fisor.data import conversion, parquet
from fisor.data.conversion import convert
from fisor.data.hdf5 import write_hdf5
from fisor.data.subset import chosen_episodes
from fisor.errors import InputError

# Five episodes of 1 to 4 rows, whose returns are 1, 3, -1, 2 and 5.
EPISODE = np.repeat(np.arange(5), [1, 3, 2, 4, 2])
REWARD = np.array([1, 1, 1, 1, -3, 2, 0.5, 0.5, 0.5, 0.5, 2, 3], np.float32)


def chosen(
    expert_return: float | None = None, share: float = 1.0, seed: int = 0, episodes: int = 5
) -> list[int]:
    """Numbers of the chosen ones of the five episodes above, or of as many of one row each."""
    rows = (EPISODE, REWARD) if episodes == 5 else (np.arange(episodes), np.ones(episodes))
    picked = chosen_episodes(*rows, expert_return=expert_return, share=share, seed=seed)
    assert picked.shape == (episodes,)
    return np.flatnonzero(picked).tolist()


@pytest.mark.parametrize(
    ("expert_return", "expected"),
    [(None, [0, 1, 2, 3, 4]), (-1, [0, 1, 3, 4]), (2, [1, 4]), (1.5, [1, 3, 4])],
)
def test_experts_are_the_episodes_of_higher_return(
    expert_return: float | None, expected: list[int]
) -> None:
    """By hand: returns strictly above the bound, as the paper's `larger than 220`."""
    assert chosen(expert_return) == expected


def test_a_bound_above_all_returns_is_refused() -> None:
    """The message names the parameter, its value and the highest return."""
    with pytest.raises(InputError, match=r"above 5, `expert_return` of params.yaml; .* is 5$"):
        chosen(5)


@pytest.mark.parametrize(("share", "count"), [(1.0, 200), (0.5, 100), (0.1, 20), (1e-6, 1)])
def test_a_share_has_so_many_episodes(share: float, count: int) -> None:
    """Half of 200 episodes is 100, a tenth 20; at least one is left."""
    assert len(chosen(share=share, episodes=200)) == count


def test_a_seeds_smaller_share_lies_within_its_larger_one() -> None:
    """A tenth is part of the half; another seed chooses others; the same seed the same."""
    half, tenth = (chosen(share=share, seed=3, episodes=200) for share in (0.5, 0.1))
    assert set(tenth) < set(half)
    assert chosen(share=0.5, seed=3, episodes=200) == half
    assert chosen(share=0.5, seed=4, episodes=200) != half


def test_every_episode_is_as_likely() -> None:
    """Over 400 seeds each of 20 episodes is in a half 200 times, here within 5 deviations (50)."""
    times = np.bincount(
        np.concatenate([chosen(share=0.5, seed=seed, episodes=20) for seed in range(400)])
    )
    assert times.sum() == 4000
    assert np.abs(times - 200).max() < 50


def test_a_share_is_taken_of_the_experts() -> None:
    """Two of the four episodes above -1: the bound first, then the share."""
    picked = chosen(-1, share=0.5)
    assert len(picked) == 2
    assert 2 not in picked


# Conversion ---------------------------------------------------------------------------------------


@pytest.fixture
def converted(tmp_path: Path) -> Callable[..., Path]:
    """A function (choose, without) -> the Parquet file of the five episodes, some left out."""
    draw, rows = np.random.default_rng(1), EPISODE.size
    fields = {
        "observations": draw.normal(size=(rows, 3)).astype(np.float32),
        "actions": draw.uniform(-1, 1, (rows, 2)).astype(np.float32),
        "next_observations": draw.normal(size=(rows, 3)).astype(np.float32),
        "rewards": REWARD,
        "costs": np.zeros(rows, np.float32),
        "terminals": np.isin(np.arange(rows), [3, 9]),
        "timeouts": np.isin(np.arange(rows), [0, 5, 11]),
        "violations": np.arange(rows, dtype=np.float32),
    }

    def run(choose: conversion.Choose | None, without: str = "") -> Path:
        kept = {name: values for name, values in fields.items() if name != without}
        write_hdf5(tmp_path / "raw.hdf5", kept)
        path = tmp_path / "Toy.parquet"
        convert(tmp_path / "raw.hdf5", path, section(ConvertStage), choose=choose)
        return path

    return run


@pytest.mark.parametrize("chunk_rows", [1, 2, 5, 1000])
def test_the_others_are_left_out_whole(
    chunk_rows: int, converted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Episodes 1 and 4 stay with all their rows, renumbered 0 and 1, however the file is read.

    `violations` holds the raw row's number: 1 to 3, and 10 and 11.
    """
    monkeypatch.setattr(conversion, "CHUNK_BYTES", chunk_rows * 46)
    path = converted(partial(chosen_episodes, expert_return=2, share=1.0, seed=0))
    table = parquet.read_table(path, ())
    assert table["violation"].to_pylist() == [1, 2, 3, 10, 11]
    assert table["episode"].to_pylist() == [0, 0, 0, 1, 1]
    assert table["step"].to_pylist() == [0, 1, 2, 0, 1]
    assert table["terminal"].to_pylist() == [False, False, True, False, False]
    assert table["timeout"].to_pylist() == [False, False, False, False, True]
    assert parquet.facts_of(path)["changes"]["episodes_left_out"] == 3


def test_next_observations_are_rebuilt_within_the_chosen(converted: Callable[..., Path]) -> None:
    """Without `next_observations`, a chosen episode's come from its own rows, as in the whole."""
    columns = ("violation", "observation", "next_observation")
    whole, some = (
        parquet.read_table(converted(choose, "next_observations"), columns).to_pydict()
        for choose in (None, partial(chosen_episodes, expert_return=2, share=1.0, seed=0))
    )
    # Row 11 ends an episode by a timeout, so that nobody knows what followed.
    assert some["violation"] == [1, 2, 3, 10]
    for name in columns:
        by_row = dict(zip(whole["violation"], whole[name], strict=True))
        assert some[name] == [by_row[row] for row in some["violation"]]


def test_choosing_all_changes_nothing(converted: Callable[..., Path]) -> None:
    """The stage's own choice with the default parameters gives the same bytes as none."""
    everything = partial(chosen_episodes, expert_return=None, share=1.0, seed=0)
    first = converted(None).read_bytes()
    assert converted(everything).read_bytes() == first


def test_no_expert_leaves_no_file(converted: Callable[..., Path], tmp_path: Path) -> None:
    """A bound that no episode passes is an error before anything is written."""
    with pytest.raises(InputError, match=re.escape("no episode has a return above 9")):
        converted(partial(chosen_episodes, expert_return=9, share=1.0, seed=0))
    assert not (tmp_path / "Toy.parquet").exists()
