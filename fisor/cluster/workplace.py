"""Where items run: the environment of their processes, and clones of the project."""

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import yaml

from fisor.cluster.clones import clones_of, finish, free_clone, limit_to_share

# Read with libyaml if PyYAML was built with it: dvc.lock may have a thousand stages.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Waits before a command that needs the Git repository or the DVC remote is tried again.
RETRY_SECONDS = (2, 10, 30, 60, 120)
STAGE_FAILED = "failed to run: "  # DVC's words when it is the stage's command that failed
# Its words when that was killed by a signal; a shell in between adds 128 to the signal's number.
STAGE_KILLED = re.compile(r"failed to run: .*, exited with (-9|-15|137|143)$", re.MULTILINE)


class Source(NamedTuple):
    """What a clone is of.

    Attributes:
        address: of the Git repository.
        commit: that every worker has.
    """

    address: str
    commit: str


class Work(NamedTuple):
    """An item for a clone.

    Attributes:
        name: the item's.
        inputs: the paths of what other items make for it.
        lock: the text of the launcher's dvc.lock, which knows what the others have made.
        folders: its dependencies that are folders, with inputs and nothing else in them.
    """

    name: str
    inputs: Sequence[str]
    lock: str
    folders: Sequence[str] = ()


def inputs_of(work: Work) -> dict[str, str | None]:
    """The MD5 of each of an item's inputs, as the launcher's dvc.lock has it."""
    made = _made(work.lock)
    return {path: made.get(path) for path in work.inputs}


def folders_of(work: Work) -> dict[str, str]:
    """The MD5 of each of an item's folders, as DVC computes it from the files in them."""
    made = inputs_of(work)
    found = {}
    for folder in work.folders:
        files = [
            {"md5": made[path], "relpath": str(Path(path).relative_to(folder))}
            for path in sorted(work.inputs)
            if Path(path).is_relative_to(folder)
        ]
        text = json.dumps(files, sort_keys=True)
        found[folder] = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"
    return found


@functools.lru_cache(maxsize=1)  # many items are submitted with the same one
def _made(lock: str) -> dict[str, str]:
    stages = (yaml.load(lock, LOADER) or {}).get("stages", {})
    return {out["path"]: out["md5"] for s in stages.values() for out in s.get("outs", ())}


class Outcome(NamedTuple):
    """What came of it.

    Attributes:
        entry: the item's part of dvc.lock; None if it failed.
        log: what was printed.
        lost: whether a command was killed, as by Slurm when a job is cancelled: no fault of it.
    """

    entry: dict[str, Any] | None
    log: str
    lost: bool = False


class CommandError(Exception):
    """A command has failed; what it printed is in the log."""


class KilledError(CommandError):
    """A command was killed."""


def environment(folder: Path) -> dict[str, str]:
    """The environment for a process that runs items: this interpreter's programs come first.

    Args:
        folder: whose cache of compiled programs they share, unless one is set.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    compiled = str((folder / ".cache/jax").absolute())
    return {
        "JAX_COMPILATION_CACHE_DIR": compiled,
        **os.environ,
        "PATH": path,
        "PYTHONUNBUFFERED": "1",  # so that logs are up to date
    }


def last_repro(folder: Path, remote: bool) -> int:
    """Run `dvc repro`, which finds the launched stages done; returns its exit status.

    Args:
        folder: the project's.
        remote: whether to pull what is missing here.
    """
    command = [sys.executable, "-m", "dvc", "repro", *(["--pull"] if remote else [])]
    return subprocess.run(command, cwd=folder, env=environment(folder), check=False).returncode


def push(folder: Path) -> None:
    """Push the outputs that are in this folder's cache, and its run cache."""
    command = [sys.executable, "-m", "dvc", "push", "--quiet", "--run-cache"]
    subprocess.run(command, cwd=folder, env=environment(folder), check=False)


class Clone:
    """A clone of the project, whose commands print to one log."""

    def __init__(self, folder: Path, printed: IO[str], kept_open: int) -> None:
        """A clone.

        Args:
            folder: the clone's; its cache is shared with the others beside it.
            printed: the log.
            kept_open: a file descriptor that commands keep, so that the clone stays locked if
                this process is killed and they are not.
        """
        self.folder, self._printed, self._kept_open = folder, printed, kept_open

    def run(self, *command: str, cwd: Path | None = None) -> None:
        """Run a command.

        Raises:
            KilledError: it was killed.
            CommandError: it failed.
        """
        print(f"$ {' '.join(command)}", file=self._printed, flush=True)
        done = subprocess.run(
            command, cwd=cwd or self.folder, env=environment(self.folder.parent),
            stdout=self._printed, stderr=subprocess.STDOUT, pass_fds=[self._kept_open],
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise (KilledError if done.returncode < 0 else CommandError)(" ".join(command))

    def retried(self, *command: str) -> None:
        """Run a command that needs another machine; a machine may be unreachable for a while.

        What fails because of the stage's own command, or is killed, is not tried again.

        Raises:
            KilledError: the command, or the stage's own, was killed.
            CommandError: it failed.
        """
        for seconds in (*RETRY_SECONDS, None):
            start = self._printed.tell()
            try:
                self.run(*command)
                return
            except KilledError:
                raise
            except CommandError as error:
                said = self._said_since(start)
                if STAGE_KILLED.search(said):
                    raise KilledError(str(error)) from error
                if seconds is None or STAGE_FAILED in said:
                    raise
                print(f"again in {seconds} s", file=self._printed, flush=True)
                time.sleep(seconds)

    def _said_since(self, start: int) -> str:
        self._printed.seek(start)
        said = self._printed.read()
        self._printed.seek(0, os.SEEK_END)
        return said

    def checkout(self, source: Source) -> None:
        """Bring the clone to a commit; it is made if it is not there. Outputs stay."""
        if not (self.folder / ".git").exists():
            self.folder.mkdir(exist_ok=True)
            self.run("git", "init", "--quiet")
            self.run("git", "remote", "add", "origin", source.address)
        # Left by a Git that was killed; nobody else uses this clone.
        (self.folder / ".git/index.lock").unlink(missing_ok=True)
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=self.folder, text=True, capture_output=True,
            check=False,
        )  # fmt: skip
        if head.stdout.strip() != source.commit:
            self.retried("git", "fetch", "--quiet", "origin")
        self.run("git", "checkout", "--quiet", "--force", "--detach", source.commit)
        cache = str((self.folder.parent / "cache").absolute())
        local = f"[cache]\n    dir = {cache}\n"
        (self.folder / ".dvc/config.local").write_text(local, encoding="utf-8")

    def reproduce(self, work: Work) -> dict[str, Any]:
        """Fetch an item's inputs, run it and push its outputs; returns its entry of dvc.lock.

        Raises:
            CommandError: a command failed, or an input is not the one that `work.lock` names.
        """
        dvc = (sys.executable, "-m", "dvc")
        lock = self.folder / "dvc.lock"
        if work.lock:
            lock.write_text(work.lock, encoding="utf-8")
        else:  # nothing has run yet
            lock.unlink(missing_ok=True)
        for path in work.folders:  # older files may be in them
            shutil.rmtree(self.folder / path, ignore_errors=True)
        if work.inputs:  # an older one may be here
            self.retried(*dvc, "pull", "--force", *work.inputs)
        self.retried(*dvc, "repro", "--pull", "--single-item", work.name)
        entries = yaml.load(lock.read_text(encoding="utf-8"), LOADER)["stages"]
        self.refuse_other_inputs(work, entries[work.name])
        self.retried(*dvc, "push", "--run-cache", work.name)
        return entries[work.name]

    def refuse_other_inputs(self, work: Work, entry: Mapping[str, Any]) -> None:
        """Nothing false is pushed: the item ran with what the launcher says the others made."""
        made = inputs_of(work) | folders_of(work)
        for dep in entry.get("deps", ()):
            if dep["path"] in made and dep["md5"] != made[dep["path"]]:
                message = f"{dep['path']} is not as the launcher's dvc.lock has it"
                print(message, file=self._printed, flush=True)
                raise CommandError(message)


def work_in_clone(source: Source, work: Work, cores: int) -> Outcome:
    """Run an item in a clone of this machine.

    Args:
        source: the commit.
        work: the item.
        cores: how many of this machine's processor cores it may use.
    """
    with free_clone(clones_of(source.address), source.commit, work.name) as (folder, number, lock):
        limit_to_share(number, cores)
        with (folder.parent / f"{number}.log").open("w+", encoding="utf-8") as printed:
            clone = Clone(folder, printed, lock.fileno())
            entry, lost = None, False
            try:
                clone.checkout(source)
                entry = clone.reproduce(work)
            except CommandError as error:
                lost = isinstance(error, KilledError)
                print(f"{'killed' if lost else 'failed'}: {error}", file=printed, flush=True)
            if not lost:
                finish(lock)
            printed.seek(0)
            return Outcome(entry, printed.read(), lost)
