"""Progress over a whole run: what is counted, what is estimated, and quiet without a terminal."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from project import ROOT, make_repository, run

from fisor import progress

COPY = 'python -c "import shutil, sys; shutil.copy(*sys.argv[1:])"'
PIPELINE = {
    "stages": {
        "code": {"cmd": f"{COPY} source code", "deps": ["source"], "outs": ["code"]},
        "code_baseline": {
            "matrix": {"method": "${baselines}"},
            "cmd": f"{COPY} source ${{item.method}}",
            "deps": ["source"],
            "outs": ["${item.method}"],
        },
        "train": {
            "matrix": {"task": "${run}"},
            "cmd": f"{COPY} data.${{item.task}} train.${{item.task}}",
            "deps": ["code", "data.${item.task}"],
            "outs": ["train.${item.task}"],
        },
        "evaluate": {
            "matrix": {"task": "${run}", "method": ["A", "B"]},
            "cmd": f"{COPY} train.${{item.task}} ${{item.task}}.${{item.method}}",
            "deps": ["train.${item.task}"],
            "outs": ["${item.task}.${item.method}"],
        },
    }
}
TASKS = ["Ball", "Car"]
PARAMS = {"run": TASKS, "baselines": ["BC"], "size": "paper", "sizes": {"paper": {}}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A pipeline of two tasks, whose stages are named as the project's and take no time."""
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE, sort_keys=False))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    for task in TASKS:
        (tmp_path / f"data.{task}").write_text(task)
    (tmp_path / "source").write_text("1")
    make_repository(tmp_path)
    shutil.copytree(
        ROOT / "fisor", tmp_path / "fisor", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


def on_a_terminal(folder: Path) -> list[str]:
    """The lines of progress of a run whose standard error is a terminal."""
    ours, theirs = os.openpty()
    printed = bytearray()

    def read() -> None:
        try:
            while part := os.read(ours, 4096):
                printed.extend(part)
        except OSError:  # how Linux ends a terminal that nobody writes to any more
            pass

    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "GIT_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with subprocess.Popen(
        [sys.executable, "-m", "fisor.progress"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=theirs, text=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()
        out, _ = process.communicate(timeout=120)
        reader.join()
    os.close(ours)
    assert process.returncode == 0, out + printed.decode()
    return re.findall(r"^\[stage .*?(?=\r?$)", printed.decode(), re.MULTILINE)


def test_counts_what_runs(project: Path) -> None:
    """From nothing, all six stages beside those of the code; then those of the changed task alone.

    A third run has nothing to do, and shows nothing.
    """
    first = on_a_terminal(project)
    assert [line.split(",")[0] for line in first] == [f"[stage {n} of 6" for n in range(1, 7)]
    assert first[0].startswith("[stage 1 of 6, 0 of 2 tasks done] train@")
    assert "left" not in first[0]  # nothing has been measured
    assert first[5].startswith("[stage 6 of 6, 1 of 2 tasks done] evaluate@")
    assert first[5].endswith("; less than a minute left")

    (project / "data.Car").write_text("other data")
    second = on_a_terminal(project)
    assert [line.split("]")[0] for line in second] == [
        f"[stage {n} of 3, 0 of 1 tasks done" for n in (1, 2, 3)
    ]
    assert all("Car" in line and line.endswith("; less than a minute left") for line in second)
    assert on_a_terminal(project) == []


def test_without_a_terminal_dvc_repro_is_alone(project: Path) -> None:
    """Nothing is printed or written beside what `dvc repro` does; its failure is ours."""
    done = run(project, sys.executable, "-m", "fisor.progress")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Running stage") == 8
    assert "[stage" not in done.stdout + done.stderr
    assert not (project / ".cache").exists()
    (project / "source").unlink()
    assert run(project, sys.executable, "-m", "fisor.progress").returncode != 0
    refused = run(project, sys.executable, "-m", "fisor.progress", "train@Ball")
    assert (refused.returncode, "dvc repro train@Ball" in refused.stderr) == (1, True)


def test_estimates_from_what_stages_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage's own duration, or the mean of the same stage elsewhere; others are named.

    Left at the first stage: 600 s of its own, and 1200 s for Car's, which is the mean of 600 and
    1800: 30 minutes. `report` has never run. Then Ball's training takes 60 s, and Car's is skipped.
    """
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stages = ["train@Ball", "train@Car", "report"]
    shown = progress.Progress(stages, ["Ball", "Car"], {"train@Ball": 600, "train@Run": 1800})
    assert shown.read("Running stage 'train@Ball':\n") == (
        "[stage 1 of 3, 0 of 2 tasks done] train@Ball; "
        "about 30 min left, not counting 1 that has never run"
    )
    now[0] += 60
    assert shown.read("> python -m stages.train\n") == ""
    assert shown.read("Stage 'train@Car' is cached - skipping run, checking out outputs\n") == ""
    assert shown.seconds["train@Ball"] == 60
    assert shown.read("Running stage 'report':\n") == "[stage 3 of 3, 2 of 2 tasks done] report"
