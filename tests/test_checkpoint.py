"""Checkpoints: the same numbers give the same bytes, and damage is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from oracles import drawn_params

from fisor.config.params import Params
from fisor.critics import feasibility, pair, trained
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn import checkpoint
from fisor.nn.checkpoint import CONFIG, PARAMS


def numbers(offset: float = 0.0) -> dict[str, Any]:
    """A nested pytree of float32, no two numbers alike."""
    return {
        "q": {"Dense_0": {"kernel": jnp.arange(6.0).reshape(2, 3) + offset, "bias": jnp.ones(3)}},
        "v": [jnp.full((2,), -1.5), jnp.full((1,), 7.0)],
    }


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A checkpoint of `numbers`."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    checkpoint.save(folder, numbers(), {"seeds": 2, "T": 5})
    return folder


def stored_arrays(folder: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(folder / PARAMS)


def test_reads_back_what_was_written(saved: Path) -> None:
    """Structure, shapes and every bit of the numbers come back, and the configuration."""
    loaded = checkpoint.load(saved, numbers)
    assert checkpoint.load_config(saved) == {"seeds": 2, "T": 5}
    assert loaded.keys() == {"q", "v"}
    kernel = loaded["q"]["Dense_0"]["kernel"]
    np.testing.assert_array_equal(kernel, [[0, 1, 2], [3, 4, 5]])
    assert kernel.dtype == jnp.float32
    np.testing.assert_array_equal(loaded["v"][0], [-1.5, -1.5])
    np.testing.assert_array_equal(loaded["v"][1], [7.0])


def test_a_single_number_keeps_its_shape(tmp_path: Path) -> None:
    """A parameter that is one number, `[]`, comes back as one number."""
    checkpoint.save(tmp_path, {"a": jnp.asarray(7.0)}, {})
    assert checkpoint.load(tmp_path, lambda: {"a": jnp.asarray(0.0)})["a"] == 7.0


def test_names_are_readable_paths(saved: Path) -> None:
    """Another program finds the arrays by their path, in a format without code."""
    assert set(stored_arrays(saved)) == {"q/Dense_0/kernel", "q/Dense_0/bias", "v/0", "v/1"}


def test_same_numbers_give_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    """Order of keys and kind of array do not matter; other numbers give other bytes."""
    again, other = tmp_path / "again", tmp_path / "other"
    again.mkdir()
    other.mkdir()
    reordered = dict(reversed(numbers().items()))
    reordered["v"] = [np.asarray(leaf) for leaf in reordered["v"]]
    checkpoint.save(again, reordered, {"T": 5, "seeds": 2})
    checkpoint.save(other, numbers(offset=1e-3), {"T": 5, "seeds": 2})
    for name in (PARAMS, CONFIG):
        assert (again / name).read_bytes() == (saved / name).read_bytes()
    assert (other / PARAMS).read_bytes() != (saved / PARAMS).read_bytes()


def test_a_transposed_array_keeps_its_values(tmp_path: Path) -> None:
    """The layout in memory does not leak into the file."""
    checkpoint.save(tmp_path, {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3).T}, {})
    np.testing.assert_array_equal(stored_arrays(tmp_path)["a"], [[0, 3], [1, 4], [2, 5]])


def remove_params(folder: Path) -> None:
    (folder / PARAMS).unlink()


def cut_params(folder: Path) -> None:
    whole = (folder / PARAMS).read_bytes()
    (folder / PARAMS).write_bytes(whole[:-5])


def cut_header(folder: Path) -> None:
    whole = (folder / PARAMS).read_bytes()
    (folder / PARAMS).write_bytes(whole[:20])


def empty_params(folder: Path) -> None:
    (folder / PARAMS).write_bytes(b"")


def params_folder(folder: Path) -> None:
    (folder / PARAMS).unlink()
    (folder / PARAMS).mkdir()


def edit_arrays(change: Callable[[dict[str, np.ndarray]], None]) -> Callable[[Path], None]:
    """A damage that rewrites the file with other arrays."""

    def damage(folder: Path) -> None:
        arrays = stored_arrays(folder)
        change(arrays)
        safetensors.numpy.save_file(arrays, folder / PARAMS)

    return damage


DAMAGES = {
    "missing": (remove_params, "there is no such file; is this a checkpoint?"),
    "cut short": (cut_params, "is not a whole safetensors file"),
    "header cut": (cut_header, "is not a whole safetensors file"),
    "empty": (empty_params, "is not a whole safetensors file"),
    "a folder": (params_folder, "is not a whole safetensors file"),
    "array missing": (
        edit_arrays(lambda arrays: arrays.pop("v/1")),
        "array `v/1` is missing",
    ),
    "array too many": (
        edit_arrays(lambda arrays: arrays.update(w=np.zeros(1, np.float32))),
        "array `w` is not expected",
    ),
    "other shape": (
        edit_arrays(lambda arrays: arrays.update({"v/0": np.zeros(3, np.float32)})),
        r"array `v/0` is float32\[3\] where config.json describes float32\[2\]",
    ),
    "other type": (
        edit_arrays(lambda arrays: arrays.update({"v/0": np.zeros(2, np.float64)})),
        r"array `v/0` is float64\[2\] where config.json describes float32\[2\]",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_parameters_are_refused(saved: Path, name: str) -> None:
    """Each kind of damage is an error that names the file, and the array where it is one."""
    damage, message = DAMAGES[name]
    damage(saved)
    with pytest.raises(InputError, match=message) as raised:
        checkpoint.load(saved, numbers)
    assert str(raised.value).startswith(f"{saved / PARAMS}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "is not JSON"),
        (b'{"seeds": 2,', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[1, 2]", "must hold a JSON object"),
        (b"null", "must hold a JSON object"),
    ],
)
def test_broken_configuration_is_refused(saved: Path, content: bytes | None, message: str) -> None:
    """A configuration that is missing or no JSON object is an error that names the file."""
    (saved / CONFIG).unlink()
    if content is not None:
        (saved / CONFIG).write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        checkpoint.load_config(saved)
    assert str(raised.value).startswith(f"{saved / CONFIG}: ")


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True, None, [2]])
def test_size_must_be_a_whole_number(value: Any) -> None:
    """A network's size that is none is named, with the value found."""
    with pytest.raises(
        InputError, match=r"config\.json: `T` must be a whole number >= 1"
    ) as raised:
        checkpoint.size({"T": value}, "T", "folder")
    assert str(raised.value).endswith(f"not {value!r}")


def test_size_that_is_missing_is_named() -> None:
    """A configuration without the size is refused as well; with it, the number is returned."""
    with pytest.raises(InputError, match="`T` must be a whole number >= 1, not None"):
        checkpoint.size({}, "T", "folder")
    assert checkpoint.size({"T": 3}, "T", "folder") == 3


def test_a_critics_configuration_must_fit_its_parameters(
    tmp_path: Path,
    small_params: Callable[..., Params],
    random_transitions: Callable[..., Transitions],
) -> None:
    """A config.json edited to other sizes does not load: parameters of that shape are not there."""
    params, data = small_params(hidden_layers=1), random_transitions(2)
    states = drawn_params(feasibility.init(params, data), seed=0, seeds=2)
    config = pair.checkpoint_config(params, data)
    pair.save(tmp_path, states, config)
    assert trained.load(tmp_path).config == config
    for name in config:
        (tmp_path / CONFIG).write_text(json.dumps(config | {name: config[name] + 1}))
        with pytest.raises(InputError, match=r"params\.safetensors: array `.*config\.json"):
            trained.load(tmp_path)
