"""Programs that a study runs: what they print goes to a file, from where their progress is read."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

LOG_LINES = 12
RUNNING = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)  # what DVC prints
WATCH_SECONDS = 1


class Failure(NamedTuple):
    """An experiment that failed.

    Attributes:
        log: where what it printed is.
        tail: the last lines of that.
    """

    log: Path
    tail: str


class Stages:
    """Shows which stage of an experiment runs: in the bar, or in lines where that is not shown."""

    def __init__(self, bar: tqdm, experiment: str, log: Path) -> None:
        self._bar, self._experiment, self._log, self._shown = bar, experiment, log, ""

    def __call__(self) -> None:
        """Look at what DVC has printed so far."""
        running = RUNNING.findall(self._log.read_text(encoding="utf-8", errors="replace"))
        stage = running[-1] if running else "begins"
        text = f"{self._experiment}: {stage}"
        if self._bar.disable and text != self._shown:
            print(text, file=sys.stderr, flush=True)
        self._shown = text
        self._bar.set_postfix_str(text)


def run_module(
    repository: Path,
    log: Path,
    module: str,
    *arguments: str,
    watch: Callable[[], None] = lambda: None,
) -> Failure | None:
    """Run a module, with this environment's programs first on PATH: stages call `python`.

    Args:
        repository: the folder to run it in.
        log: the file for what it prints.
        module: as of `python -m`.
        arguments: of the module.
        watch: is called again and again while it runs, and once at its end.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Programs that are compiled in the temporary copy would be lost with it.
    compiled = os.environ.get(
        "JAX_COMPILATION_CACHE_DIR", str((repository / ".cache/jax").absolute())
    )
    environment = os.environ | {"PATH": path, "JAX_COMPILATION_CACHE_DIR": compiled}
    environment["PYTHONUNBUFFERED"] = "1"  # so that the log is up to date
    with (
        log.open("w") as printed,
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=repository, env=environment,
            stdout=printed, stderr=subprocess.STDOUT,
        ) as process,
    ):  # fmt: skip
        try:
            while process.poll() is None:
                watch()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(WATCH_SECONDS)
        except BaseException:
            process.kill()
            raise
    watch()
    if process.returncode == 0:
        return None
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return Failure(log, "\n".join(lines[-LOG_LINES:]))
