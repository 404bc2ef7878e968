"""Replay the median and the worst evaluated episode of a method, and record them as clips."""

from pathlib import Path

from fisor.config.recording import RecordStage
from fisor.recording import folder
from stages import command


def main(task: str, method: str, policy: str, rollouts: str, recording: str) -> None:
    """Write recording.json and the clips; without any clip if `record` is false."""
    settings = command.settings(RecordStage, task, method)
    if not settings.record:
        folder.write(recording, "off")
        return
    from fisor.envs.rendering.renderers import RENDERERS  # loads gymnasium

    if settings.suite not in RENDERERS:
        folder.write(recording, "not_rendered")
        return
    from fisor.recording.record import record  # loads JAX

    record(settings, Path(policy), Path(rollouts), Path(recording))


if __name__ == "__main__":
    command.run(main)
