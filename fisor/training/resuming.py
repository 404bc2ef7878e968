"""Checkpoints of an interrupted training, which the same training resumes from."""

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fisor.code import code_hash
from fisor.errors import InputError
from fisor.nn import checkpoint
from fisor.outputs import atomic_directory

EVERY_SECONDS = 60.0  # at least, between two checkpoints


def hash_of(tree: Any) -> str:
    """SHA-256 of the shapes, types and values of a pytree of arrays, which may be memory-mapped."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf, order="C")
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(array.data)
    return digest.hexdigest()


def loaded_code_hash() -> str:
    """SHA-256 of the code of the project's modules that this process has imported."""
    hashes = sorted(
        f"{name} {code_hash(Path(module.__file__))}"
        for name, module in list(sys.modules.items())
        if name.startswith("fisor.") and module.__file__
    )
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


class Checkpoints:
    """The checkpoints of one training: `FOLDER/UPDATES/`, of which only the last is kept.

    Each contains the identity of the training. It is computed only when the first checkpoint is
    written or one is found, so that a short training need not compute it.
    """

    def __init__(
        self, folder: Path | None, name: str, identity: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Read and write nothing yet.

        Args:
            folder: the folder of the checkpoints; None: none are written.
            name: name of the training, for messages.
            identity: returns everything that the training's result depends on, as JSON values.
        """
        self._folder, self._name, self._identity = folder, name, identity
        self._known: Mapping[str, Any] | None = None
        self._written = time.monotonic()

    def _config(self, updates: int) -> dict[str, Any]:
        if self._known is None:
            # Through JSON, like the stored identity that it is compared with.
            self._known = json.loads(json.dumps(self._identity()))
        assert self._known is not None
        return {**self._known, "updates": updates}

    def last(self, template: Callable[[int], Any]) -> tuple[int, Any] | None:
        """Updates done and state of the last checkpoint; None if there is none of this training.

        A checkpoint of another training, or one that cannot be read, is logged and deleted.

        Args:
            template: updates done -> a pytree of the state's structure and shapes.
        """
        if self._folder is None:
            return None
        there = self._there()
        if not there:
            return None
        try:
            updates = int(there[-1].name)
            stored = checkpoint.load_config(there[-1])
            if stored == self._config(updates):
                state = checkpoint.load(there[-1], lambda: template(updates))
                print(f"{self._name}: going on from update {updates}", file=sys.stderr)
                return updates, state
            differs = sorted(k for k, v in self._config(updates).items() if stored.get(k) != v)
            reason = f"is of another training (other {', '.join(differs)})"
        except InputError as error:
            reason = f"cannot be used ({error})"
        print(f"{self._name}: {there[-1]} {reason}; training from nothing", file=sys.stderr)
        for old in there:
            shutil.rmtree(old)
        return None

    def due(self) -> bool:
        """Whether the last checkpoint is old enough to write another one."""
        waited = time.monotonic() - self._written
        return self._folder is not None and waited >= EVERY_SECONDS

    def write(self, updates: int, state: Any) -> None:
        """Write the pytree `state` after `updates` updates, and delete the previous checkpoint."""
        assert self._folder is not None
        older = self._there()
        place = self._folder / f"{updates:012d}"
        with atomic_directory(place) as partial:
            checkpoint.save(partial, state, self._config(updates))
        for old in older:
            if old != place:
                shutil.rmtree(old)
        self._written = time.monotonic()

    def _there(self) -> list[Path]:
        assert self._folder is not None
        return sorted(self._folder.glob("[0-9]*"))
