"""A worker of `fisor.cluster` in a process of its own, since it limits itself to some cores."""

import json
import os
import subprocess
import sys
from pathlib import Path

from project import ROOT, checked

from fisor.cluster.workplace import Source, Work

WORK = """
import json, sys
from fisor.cluster.workplace import Source, Work, work_in_clone
source, work = json.loads(sys.argv[1])
print(json.dumps(work_in_clone(Source(*source), Work(*work), 1)._asdict()))
"""


def source_of(project: Path) -> Source:
    """The commit of a project that `tiny_pipeline.share` has pushed."""
    head = checked(project, "git", "rev-parse", "HEAD").strip()
    return Source(str(project.parent / "origin.git"), head)


def started(source: Source, item: Work, cache: Path) -> subprocess.Popen:
    """Begin an item, with clones below `cache`."""
    return subprocess.Popen(
        [sys.executable, "-c", WORK, json.dumps([source, item])], text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )  # fmt: skip


def outcome(process: subprocess.Popen) -> dict:
    """What `work_in_clone` returned."""
    said, _ = process.communicate()
    assert process.returncode == 0
    return json.loads(said)


def work(source: Source, item: Work, cache: Path) -> dict:
    """Run an item to its end."""
    return outcome(started(source, item, cache))
