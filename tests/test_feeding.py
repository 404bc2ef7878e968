"""Data too big for the device: the same batches, gathered on the host in good time."""

import threading
from collections.abc import Callable
from pathlib import Path

import jax
import mixing
import numpy as np
import pytest
from oracles import drawn_params

from fisor.config.params import Params
from fisor.critics import feasibility, trained
from fisor.critics.pair import CriticState
from fisor.data import loading, memory, parquet
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn.optimiser import optimiser
from fisor.training import feeding
from fisor.training.fit import fit


@pytest.mark.parametrize(("by_weight", "window_steps"), [(False, 1), (True, 1), (False, 5)])
def test_fed_from_the_host_the_same_rows_are_drawn(
    small_params: Callable[..., Params],
    monkeypatch: pytest.MonkeyPatch,
    by_weight: bool,
    window_steps: int,
) -> None:
    """To the last bit the numbers of the data on the device, in chunks that fit no interval.

    Oracle: `mixing`, which shows every row, own row and key; 3 updates per chunk, points every 10.
    """
    params = small_params(seeds=3, training_steps=23, log_every_updates=10)
    # Of an update: 3 seeds x 8 rows, or windows of rows, of 4 and 4 bytes.
    monkeypatch.setattr(feeding, "CHUNK_BYTES", 3 * 3 * 8 * 8 * window_steps)
    options = {"by_weight": by_weight, "window_steps": window_steps}
    there, curve = mixing.mix(params, **options, on_device=True)
    fed, fed_curve = mixing.mix(params, **options, on_device=False)
    np.testing.assert_array_equal(fed, there)
    np.testing.assert_array_equal(fed_curve.updates, curve.updates)
    np.testing.assert_array_equal(fed_curve.metrics["low"], curve.metrics["low"])


def test_a_critic_is_the_same_fed_from_memory_mapped_files(
    small_params: Callable[..., Params],
    random_transitions: Callable[..., Transitions],
    tmp_path: Path,
) -> None:
    """Parameters and Adam's state of a critic, every bit, on the device and fed from files."""
    data = random_transitions(50)
    mapped = []
    for name, values in data._asdict().items():
        np.save(tmp_path / f"{name}.npy", values)
        mapped.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    params = small_params(hidden_layers=1, training_steps=20, log_every_updates=10)
    networks = trained.CriticNetworks.of_size(params.hidden_layers, params.hidden_units)
    q, v = drawn_params(lambda key: networks.init_params(key, 3, 2), seed=0)
    adam = optimiser(params)

    def init(key: jax.Array) -> CriticState:
        return CriticState(q, v, q, adam.init(q), adam.init(v))

    there, fed = (
        fit(
            init,
            feasibility.update(params),
            rows,
            config=params,
            batch_size=8,
            name="",
            on_device=on_device,
        )
        for rows, on_device in ((data, True), (Transitions(*mapped), False))
    )
    jax.tree.map(np.testing.assert_array_equal, fed[0], there[0])
    jax.tree.map(np.testing.assert_array_equal, fed[1].metrics, there[1].metrics)


def test_the_sizes_choose_and_the_choice_is_said(
    small_params: Callable[..., Params],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`fit` feeds exactly if the data is more than 0.8 of the free memory, and says so.

    50 rows of 4 bytes and 2 x 50 of 4 are 600 bytes: they fit in 750, not in 749.
    """
    params = small_params(training_steps=1)
    gathered = []
    gather = feeding.gather

    def noted(*arguments: object) -> object:
        gathered.append(arguments)
        return gather(*arguments)

    monkeypatch.setattr("fisor.training.fit.gather", noted)
    for free, expected in ((750, "on the device"), (749, "too big for it, so fed from the host")):
        gathered.clear()
        monkeypatch.setattr(feeding, "free_bytes", lambda device, free=free: free)
        mixing.mix(params)
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "GB" in line]
        assert line == f"mix: 1 x cpu, 0.0 GB free; 0.000 GB of data {expected}"
        assert bool(gathered) == (free == 749)


def test_two_are_made_ahead_in_another_thread() -> None:
    """While the first is in use the next two are made, and no more; order is kept."""
    made: list[int] = []
    third = threading.Event()

    def make(item: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        made.append(item)
        if item == 2:
            third.set()
        return 10 * item

    results = feeding.ahead(make, range(6))
    assert next(results) == 0
    assert third.wait(timeout=30)
    assert made == [0, 1, 2]
    assert list(results) == [10, 20, 30, 40, 50]


def test_an_error_of_the_thread_arrives() -> None:
    """What goes wrong while an item is made is raised where the item is wanted."""
    results = feeding.ahead(lambda item: 1 // item, [1, 0])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_large_matrices_are_memory_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose matrices do not fit in memory: the same numbers, in mapped files.

    Pieces of 4 of 10 rows, so that pieces end within a row group and at the end of the file.
    """
    draw = np.random.default_rng(0)
    columns = {
        "episode": np.zeros(10, np.int32),
        "step": np.arange(10, dtype=np.int32),
        "observation": draw.normal(size=(10, 3)).astype(np.float32),
        "action": draw.uniform(-1, 1, (10, 2)).astype(np.float32),
        "next_observation": draw.normal(size=(10, 3)).astype(np.float32),
        "reward": draw.normal(size=10).astype(np.float32),
        "cost": np.zeros(10, np.float32),
        "terminal": np.zeros(10, bool),
        "timeout": np.arange(10) == 9,
    }
    path = tmp_path / "rows.parquet"
    parquet.write_parquet(path, parquet.schema(3, 2, False, {}), [columns])
    monkeypatch.setattr(loading, "ROWS_AT_ONCE", 4)
    rows = tmp_path / "rows"
    plain = loading.load(path, None, True, rows)
    assert not rows.exists()
    monkeypatch.setattr(loading, "host_free_bytes", lambda: 100)
    mapped = loading.load(path, None, True, rows)
    assert isinstance(mapped.observations, np.memmap)
    jax.tree.map(np.testing.assert_array_equal, mapped, plain)
    columns["action"][6, 1] = np.nan
    parquet.write_parquet(path, parquet.schema(3, 2, False, {}), [columns])
    with pytest.raises(InputError, match="row 6 of `action` is NaN"):
        loading.load(path, None, True, rows)


def test_free_memory_is_within_the_machines() -> None:
    """Some memory is free, and no more than there is."""
    assert 0 < memory.host_free_bytes() < 2**50
