"""Run `dvc repro` and show its progress: stages and tasks done, and the time left.

`python -m fisor.progress`, with options of `dvc repro` if wanted.
"""

import json
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo

from fisor.config.layers import read_params
from fisor.errors import InputError
from fisor.outputs import atomic_file
from fisor.studies.process import RUNNING
from fisor.training.pace import in_words

SECONDS = Path(".cache/stage_seconds.json")  # size -> stage -> seconds when it last ran here
SKIPPED = re.compile(r"^(?:Stage )?'([^']+)' (?:didn't change|is cached)")  # what DVC prints
DVC_REPRO = (sys.executable, "-m", "dvc", "repro")
CODE_STAGES = "code", "code_baseline"  # what they write decides which of the others run


class Progress:
    """Counts and measures stages by what DVC prints.

    Attributes:
        seconds: what each stage took when it last ran.
    """

    def __init__(
        self, stages: Iterable[str], tasks: Iterable[str], seconds: Mapping[str, float]
    ) -> None:
        """Nothing is done yet.

        Args:
            stages: names of the stages that are expected to run, such as `train_reward@BallRun`.
            tasks: names of all tasks.
            seconds: what each stage took when it last ran, as far as is known.
        """
        self.seconds = dict(seconds)
        self._waiting = set(stages)
        of_tasks = ({stage for stage in stages if _is_of(stage, task)} for task in tasks)
        self._tasks = [own for own in of_tasks if own]
        self._total = len(self._waiting)
        self._running, self._since = "", 0.0

    def read(self, line: str) -> str:
        """The progress, if this line of DVC's begins a stage; otherwise empty."""
        running, skipped = RUNNING.match(line), SKIPPED.match(line)
        if running is not None:
            self.end_stage()
            self._running, self._since = running[1], time.monotonic()
            if running[1] not in self._waiting:
                self._waiting.add(running[1])
                self._total += 1
            return self._shown()
        if skipped is not None:
            self.end_stage()
            self._waiting.discard(skipped[1])
        return ""

    def end_stage(self) -> None:
        """Note that the stage that ran, if one did, has succeeded."""
        if self._running:
            self.seconds[self._running] = time.monotonic() - self._since
            self._waiting.discard(self._running)
        self._running = ""

    def _shown(self) -> str:
        number = self._total - len(self._waiting) + 1
        tasks = sum(not own & self._waiting for own in self._tasks)
        count = f"stage {number} of {self._total}, {tasks} of {len(self._tasks)} tasks done"
        text = f"[{count}] {self._running}"
        measured = [s for stage in self._waiting if (s := self._expected(stage)) is not None]
        if measured:
            text += f"; {in_words(sum(measured))} left"
            if unmeasured := len(self._waiting) - len(measured):
                has = "has" if unmeasured == 1 else "have"
                text += f", not counting {unmeasured} that {has} never run"
        return text

    def _expected(self, stage: str) -> float | None:
        """Seconds of a stage: its own, or else the mean of the same stage of other tasks."""
        if stage in self.seconds:
            return self.seconds[stage]
        alike = [s for other, s in self.seconds.items() if _kind(other) == _kind(stage)]
        return sum(alike) / len(alike) if alike else None


def _is_of(stage: str, task: str) -> bool:
    item = stage.partition("@")[2]
    return item == task or item.startswith(f"{task}-")


def _kind(stage: str) -> str:
    return stage.partition("@")[0]


def expected_stages(repository: Path) -> set[str]:
    """The stages that `dvc repro` will run, if each that runs also changes its output.

    These are the stages that DVC's status calls changed, and all that depend on them.

    Raises:
        InputError: DVC cannot tell, for example because another DVC process has the lock.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # DVC's own
        try:
            with Repo(repository) as repo:
                changed = {address.split(":")[-1] for address in repo.status()}
                graph = repo.index.graph  # an edge goes from a stage to one that it depends on
        except DvcException as error:
            raise InputError(str(error)) from error
    found, waiting = set(), [stage for stage in graph if stage.addressing in changed]
    while waiting:
        stage = waiting.pop()
        if stage.addressing not in found:
            found.add(stage.addressing)
            waiting += graph.predecessors(stage)
    return found


def repro(options: list[str]) -> int:
    """Run `dvc repro`; returns its exit status. Without a terminal, nothing is added to it."""
    if not sys.stderr.isatty():
        return subprocess.call([*DVC_REPRO, *options])
    if status := subprocess.call([*DVC_REPRO, *options, *CODE_STAGES]):
        return status
    params = read_params()
    known = _read_seconds()
    progress = Progress(expected_stages(Path()), params["run"], known.get(params["size"], {}))
    with subprocess.Popen(
        [*DVC_REPRO, *options], stdout=subprocess.PIPE, text=True, errors="replace", bufsize=1
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if shown := progress.read(line):
                print(shown, file=sys.stderr, flush=True)
                _write_seconds(known | {params["size"]: progress.seconds})
            print(line, end="", flush=True)
    if process.returncode == 0:
        progress.end_stage()
    _write_seconds(known | {params["size"]: progress.seconds})
    return process.returncode


def _read_seconds() -> dict[str, dict[str, float]]:
    with suppress(OSError, ValueError):  # it is only for the estimate
        return json.loads(SECONDS.read_text(encoding="utf-8"))
    return {}


def _write_seconds(seconds: Mapping[str, Mapping[str, float]]) -> None:
    with atomic_file(SECONDS) as file:
        file.write_text(json.dumps(seconds, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Check the arguments, and run."""
    options = sys.argv[1:]
    try:
        for target in (option for option in options if not option.startswith("-")):
            raise InputError(
                f"{target}: progress is shown of whole runs, so give options alone, as "
                f"--option=value, or use `dvc repro {target}`"
            )
        sys.exit(repro(options))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:  # DVC was interrupted, too, and has said so
        sys.exit(130)


if __name__ == "__main__":
    main()
