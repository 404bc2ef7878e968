"""Recorded episodes on the page, as far as its size allows."""

import json
from typing import Any

from fisor.page.rendering import data_uri
from fisor.report.results import Results

MOST_BYTES = 5_000_000  # of all clips together, as base64; the page is to stay below 8 MB
RECORDING = "recording.json"


class Clips:
    """Takes clips in until there is no room for more.

    Attributes:
        left_out: which ones were not taken, in words.
    """

    def __init__(self) -> None:
        self._free = MOST_BYTES
        self.left_out: list[str] = []

    def of_task(self, results: Results) -> dict[str, Any]:
        """A task's clips, and sentences on those that could not be recorded."""
        clips: list[dict[str, Any]] = []
        missing: list[str] = []
        for method in results.ran:
            folder = results.recordings[method]
            if not (folder / RECORDING).exists():
                continue
            recording = json.loads((folder / RECORDING).read_text(encoding="utf-8"))
            if recording.get("missing"):
                missing.append(recording["missing"])
            for clip in recording.get("clips", ()):
                picture = data_uri(folder / clip["file"])
                if len(picture) > self._free:
                    self.left_out.append(f"{results.task.name} {method} ({clip['which']})")
                    continue
                self._free -= len(picture)
                clips.append({"method": method, "picture": picture} | clip)
        return {"clips": clips, "missing": list(dict.fromkeys(missing))}
