"""Git, for what needs a repository's commits and files."""

import subprocess
from pathlib import Path

from fisor.errors import InputError


def git(repository: Path, *arguments: str) -> str:
    """What a Git command prints.

    Args:
        repository: a folder of it.
        arguments: of `git`.

    Raises:
        InputError: Git fails; with what it says.
    """
    done = subprocess.run(
        ["git", *arguments], cwd=repository, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise InputError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
