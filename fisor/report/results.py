"""What the stages left of a task, as the report reads it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow.parquet as pq

from fisor.config.task import Task
from fisor.errors import InputError
from fisor.hardware import KEY
from fisor.training.log import CURVE, HARDWARE

CRITICS = {"train_feasibility": "V_h", "train_reward": "V_r"}  # stage -> what its curve is of


class Results(NamedTuple):
    """A task's results: where each stage left its own.

    Attributes:
        task: its entry in tasks.yaml.
        transitions: the dataset, a Parquet file.
        labels: the folder of h and of the dataset's card.
        feasibility: the folder of Q_h and V_h.
        logs: the folder with a log of each training.
        rollouts: method -> its episodes, a Parquet file.
        recordings: method -> the folder of its recorded episodes.
        raw: the dataset as it was downloaded or collected, in one file or several.
    """

    task: Task
    transitions: Path
    labels: Path
    feasibility: Path
    logs: Path
    rollouts: Mapping[str, Path]
    recordings: Mapping[str, Path]
    raw: Sequence[Path]

    @property
    def ran(self) -> tuple[str, ...]:
        """The methods that have run: all, in a report that `dvc repro` makes.

        Raises:
            InputError: none has.
        """
        found = tuple(method for method, path in self.rollouts.items() if path.exists())
        if not found:
            path = next(iter(self.rollouts.values()), self.logs)
            raise InputError(f"{path}: there is no such file; `dvc repro` makes it")
        return found

    def curves(self) -> Iterator[tuple[Path, str, str]]:
        """Each training curve: its file, its column, and what it is."""
        for stage, value in CRITICS.items():
            file = self.logs / stage / CURVE
            yield file, "v_mean", f"mean of {value}"
            yield file, "v_loss", f"loss of {value}"
            yield file, "q_loss", f"loss of {value.replace('V', 'Q')}"
        for method in self.ran:
            file = self.logs / method / CURVE
            for column in pl.read_csv(file, n_rows=0).columns:
                if column.endswith("_loss"):
                    yield file, column, f"{column.replace('_', ' ')} of {method}"

    def hardware(self) -> dict[str, str]:
        """Stage, or method and what was done to it, -> the machine that did it."""
        made_on = {
            name: (self.logs / name / HARDWARE).read_text(encoding="utf-8").strip()
            for name in (*CRITICS, *self.ran)
        }
        for method in self.ran:
            metadata = pq.read_schema(self.rollouts[method]).metadata or {}
            made_on[f"evaluation of {method}"] = metadata[KEY.encode()].decode()
        return made_on

    def episodes(self, method: str) -> pl.DataFrame:
        """The episodes of a method that has run, one row each."""
        return pl.read_parquet(self.rollouts[method])
