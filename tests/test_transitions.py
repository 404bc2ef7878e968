"""Transitions as Parquet: what is written is read."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transition_files import FACTS, columns

from fisor.data import loading, parquet, transitions
from fisor.errors import InputError


def test_parquet_round_trip(written: Callable, labelled: Callable) -> None:
    """Every array comes back as it was, as float32 and bool, with h from the labels."""
    expected = columns()
    h = np.array([5, -1, -1, 7, -1, -1], np.float32)
    loaded = loading.load(written(), labelled(h), timeouts_are_terminal=False)
    pairs = {
        "observations": "observation",
        "actions": "action",
        "next_observations": "next_observation",
        "rewards": "reward",
        "costs": "cost",
        "terminals": "terminal",
    }
    for field, column in pairs.items():
        values = getattr(loaded, field)
        np.testing.assert_array_equal(values, expected[column], strict=True)
    np.testing.assert_array_equal(loaded.violations, h, strict=True)


def test_row_groups_are_read_as_one(tmp_path: Path) -> None:
    """A file written in chunks of 2 and 4 rows holds the same table as one written at once."""
    schema = parquet.schema(3, 2, dense_violation=True, facts=FACTS)
    pieces = [{k: v[rows] for k, v in columns().items()} for rows in (slice(2), slice(2, None))]
    parquet.write_parquet(tmp_path / "chunks.parquet", schema, pieces)
    parquet.write_parquet(tmp_path / "whole.parquet", schema, [columns()])
    assert pq.ParquetFile(tmp_path / "chunks.parquet").num_row_groups == 2
    chunks, whole = (
        loading.load(tmp_path / name, None, timeouts_are_terminal=True)
        for name in ("chunks.parquet", "whole.parquet")
    )
    assert chunks.violations is None
    assert whole.violations is None
    for one, other in zip(jax.tree.leaves(chunks), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_facts_are_kept(written: Callable) -> None:
    """The task's facts come back from the file's metadata, where they stand as JSON."""
    assert parquet.facts_of(written()) == FACTS
    table = parquet.read_table(written(), ())
    assert json.loads(table.schema.metadata[b"fisor"]) == FACTS


def test_without_labels_there_is_no_h(written: Callable) -> None:
    """A stage that does not need h gets none, not the file's own dense violations."""
    assert loading.load(written(), None, timeouts_are_terminal=True).violations is None


def test_only_the_fields_asked_for_are_kept(written: Callable) -> None:
    """The others are None, which a training neither moves nor holds."""
    loaded = loading.load(written(), None, timeouts_are_terminal=True)
    kept = loaded.only("actions", "costs")
    assert [name for name, values in kept._asdict().items() if values is not None] == [
        "actions",
        "costs",
    ]
    assert kept.costs is loaded.costs


@pytest.mark.parametrize(
    ("timeouts_are_terminal", "terminals"), [(True, [2, 4]), (False, [4])], ids=["end", "go on"]
)
def test_timeouts_are_terminal_or_not(
    timeouts_are_terminal: bool, terminals: list[int], written: Callable
) -> None:
    """Row 4 ends in either case; row 2, a timeout, only where timeouts count as ends."""
    loaded = loading.load(written(), None, timeouts_are_terminal)
    assert np.flatnonzero(loaded.terminals).tolist() == terminals


def test_lists_of_equal_lengths_are_read(rewritten: Callable) -> None:
    """A column of lists whose type does not fix the length reads like one whose type does."""
    actions = columns()["action"]
    path = rewritten(action=pa.array(actions.tolist(), pa.list_(pa.float32())))
    loaded = loading.load(path, None, timeouts_are_terminal=True)
    np.testing.assert_array_equal(loaded.actions, actions, strict=True)


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """When a chunk fails, neither the file nor a part of it stays."""
    schema = parquet.schema(3, 2, dense_violation=True, facts=FACTS)

    def chunks() -> object:
        yield columns()
        raise InputError("the second chunk")

    with pytest.raises(InputError, match=re.escape("the second chunk")):
        parquet.write_parquet(tmp_path / "Toy.parquet", schema, chunks())
    assert list(tmp_path.iterdir()) == []


def test_episode_sums_by_hand() -> None:
    """Sums go by episode, and in float64: 2^24 + 1 is no float32."""
    sums = transitions.episode_sums(
        np.array([0, 0, 1, 2, 2]), np.array([2.0**24, 1, -3, 0.5, 0.25], np.float32)
    )
    assert sums.tolist() == [2.0**24 + 1, -3.0, 0.75]
