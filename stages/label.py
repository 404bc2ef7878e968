"""Derive the violation h of each transition, and the data card."""

import json
from pathlib import Path

import pyarrow as pa

from fisor.config.data import LabelStage
from fisor.data.labels import per_episode, summarise, violation_from_cost, violation_with_floor
from fisor.data.loading import check_episodes
from fisor.data.parquet import DENSE_VIOLATION, facts_of, read_table, vector, write_parquet
from fisor.outputs import atomic_file
from stages import command

VIOLATIONS = pa.schema([pa.field("violation", pa.float32(), nullable=False)])
EPISODES = pa.schema(
    [
        pa.field("returns", pa.float64(), nullable=False),
        pa.field("costs", pa.float64(), nullable=False),
        pa.field("steps", pa.int64(), nullable=False),
        pa.field("violating_steps", pa.int64(), nullable=False),
    ]
)


def main(task: str, transitions: str, labels: str) -> None:
    """Write violations.parquet (h, one row per transition), episodes.parquet and summary.json."""
    settings = command.settings(LabelStage, task)
    dense = (DENSE_VIOLATION,) if settings.dense_violation else ()
    table = read_table(transitions, ("episode", "step", "reward", "cost", *dense))
    episode = vector(table, "episode", transitions)
    check_episodes(episode, vector(table, "step", transitions), transitions)
    rewards, costs = (vector(table, name, transitions) for name in ("reward", "cost"))
    if settings.dense_violation:
        h = vector(table, DENSE_VIOLATION, transitions)
        h = violation_with_floor(h, settings.violation_floor)
    else:
        h = violation_from_cost(costs, settings.M)
    episodes = per_episode(h, rewards, costs, episode)
    summary = summarise(episodes, settings.cost_limit)._asdict()
    summary["changes"] = facts_of(transitions).get("changes", {})
    folder = Path(labels)
    with atomic_file(folder / "summary.json") as card:
        write_parquet(folder / "violations.parquet", VIOLATIONS, [{"violation": h}])
        write_parquet(folder / "episodes.parquet", EPISODES, [episodes._asdict()])
        card.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
