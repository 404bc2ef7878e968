"""How long a policy takes to act, as `python -m benchmarks` measured it."""

import json
from pathlib import Path

from fisor.page.cells import Cell

BENCHMARKS = Path("benchmarks/results")  # one JSON file for each machine


def latencies(repository: Path) -> tuple[list[str], list[list[Cell]]]:
    """A row for each machine, kind of policy, number of observations and of candidates.

    Args:
        repository: the project's folder; without benchmarks there are no rows.
    """
    rows = []
    for file in sorted((repository / BENCHMARKS).glob("*.json")):
        measured = json.loads(file.read_text(encoding="utf-8"))
        for entry in measured.get("acting", ()):
            numbers = (entry["observation_dim"], entry["batch"], entry["candidates"])
            time = entry["milliseconds"]
            rows.append(
                [
                    Cell(measured["hardware"]),
                    Cell(entry.get("policy", "sampled")),
                    *(Cell(str(number), number) for number in numbers),
                    Cell(f"{time:.2f}", time),
                ]
            )
    numbers_of = ["observation size", "observations", "candidates each", "milliseconds"]
    return ["hardware", "policy", *numbers_of], rows
