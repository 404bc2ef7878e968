"""Checkpoints: a folder of `params.safetensors` and `config.json`, nothing executable in either.

The same numbers give the same bytes.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from fisor.errors import InputError

PARAMS, CONFIG = "params.safetensors", "config.json"


def _names_and_leaves(tree: Any) -> tuple[list[tuple[str, Any]], Any]:
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    named = [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves
    ]
    return named, structure


def save(directory: str | Path, params: Any, config: Mapping[str, Any]) -> None:
    """Write parameters and configuration into `directory`, which must exist.

    Args:
        directory: the folder.
        params: pytree of arrays.
        config: what is needed to rebuild the networks: JSON values.
    """
    named, _ = _names_and_leaves(params)
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in named}
    safetensors.numpy.save_file(arrays, Path(directory) / PARAMS)
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (Path(directory) / CONFIG).write_text(text, encoding="utf-8")


def load_config(directory: str | Path) -> dict[str, Any]:
    """Read a checkpoint's configuration.

    Raises:
        InputError: it is missing, or is not a JSON object.
    """
    path = Path(directory) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); is this a checkpoint?"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: must hold a JSON object")
    return config


def size(config: Mapping[str, Any], name: str, directory: str | Path) -> int:
    """Read a whole number of at least 1 from a configuration, or raise an `InputError`."""
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(
            f"{Path(directory) / CONFIG}: `{name}` must be a whole number >= 1, not {value!r}"
        )
    return value


def load(directory: str | Path, template: Callable[[], Any]) -> Any:
    """Read parameters in the structure and shapes that `template` would make.

    Args:
        directory: a checkpoint's folder.
        template: returns a pytree of the expected structure; only its shapes are computed.

    Returns:
        The pytree, with the stored float32 numbers.

    Raises:
        InputError: the file is missing or cut short, or its names, shapes or types differ.
    """
    path = Path(directory) / PARAMS
    try:
        stored = safetensors.numpy.load_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; is this a checkpoint?") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{path}: is not a whole safetensors file ({error})") from error
    expected, structure = _names_and_leaves(jax.eval_shape(template))
    names = {name for name, _ in expected}
    if names != stored.keys():
        odd = sorted(names ^ stored.keys())[0]
        state = "is missing" if odd in names else "is not expected"
        raise InputError(f"{path}: array `{odd}` {state}; config.json describes other networks")
    leaves = []
    for name, leaf in expected:
        if stored[name].shape != leaf.shape or stored[name].dtype != leaf.dtype:
            raise InputError(
                f"{path}: array `{name}` is {stored[name].dtype}{list(stored[name].shape)} where "
                f"config.json describes {leaf.dtype}{list(leaf.shape)}"
            )
        leaves.append(stored[name])
    return jax.device_put(jax.tree.unflatten(structure, leaves))
