"""Where items run: the environment of their processes."""

import os
import subprocess
import sys
from pathlib import Path


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
