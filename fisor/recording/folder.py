"""A folder of recordings: recording.json, and the clips that it lists."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from fisor.outputs import atomic_directory

# off: `record: false`; not_rendered: the suite has no pictures; missing: something is to install.
Status = Literal["recorded", "off", "not_rendered", "missing"]


def write(
    folder: str | Path,
    status: Status,
    *,
    missing: str | None = None,
    clips: Sequence[Mapping[str, Any]] = (),
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Write a folder of recordings.

    Args:
        folder: the folder to make.
        status: what was recorded, or why nothing was.
        missing: a sentence on what prevented the recording; it is printed, too.
        clips: what recording.json says about each clip.
        files: name of each clip's file -> its bytes.
    """
    if missing is not None:
        print(f"{folder}: nothing recorded: {missing}", file=sys.stderr)
    said = {"status": status, "missing": missing, "clips": [dict(clip) for clip in clips]}
    with atomic_directory(folder) as directory:
        for name, content in (files or {}).items():
            (directory / name).write_bytes(content)
        text = json.dumps(said, indent=2, allow_nan=False) + "\n"
        (directory / "recording.json").write_text(text, encoding="utf-8")
