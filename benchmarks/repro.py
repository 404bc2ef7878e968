"""Minutes of `dvc repro` from nothing, stage by stage, in a clone of its own."""

import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

RUNNING = re.compile(r"Running stage '(.+)':")


def measure() -> dict[str, Any]:
    """Run the committed pipeline in a fresh clone, with the environment that runs this."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
        started, stages = time.perf_counter(), {}
        running, since = "start", started
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=clone, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert process.stdout is not None
        for line in process.stdout:
            if found := RUNNING.search(line):
                now = time.perf_counter()
                stages[running] = (now - since) / 60
                running, since = found[1], now
        if process.wait():
            raise RuntimeError(f"dvc repro failed in stage {running}")
        stages[running] = (time.perf_counter() - since) / 60
    return {"stages_minutes": stages, "minutes": sum(stages.values())}
