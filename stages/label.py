"""Derive the violation h of each transition, and the dataset's card."""

import json

import pyarrow as pa

from fisor import command
from fisor.labels import per_episode, summarise, violation_from_cost
from fisor.outputs import whole_directory
from fisor.params import load_params
from fisor.tasks import load_task
from fisor.transitions import (
    DENSE_VIOLATION,
    check_episodes,
    facts_of,
    read_table,
    vector,
    write_parquet,
)

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
    """Write violations.parquet (h, a row a transition), episodes.parquet and summary.json."""
    params, entry = load_params(), load_task(task)
    dense = (DENSE_VIOLATION,) if entry.dense_violation else ()
    table = read_table(transitions, ("episode", "step", "reward", "cost", *dense))
    episode = vector(table, "episode", transitions)
    check_episodes(episode, vector(table, "step", transitions), transitions)
    rewards, costs = (vector(table, name, transitions) for name in ("reward", "cost"))
    if entry.dense_violation:
        h = vector(table, DENSE_VIOLATION, transitions)
    else:
        h = violation_from_cost(costs, params.M)
    episodes = per_episode(h, rewards, costs, episode)
    summary = summarise(episodes, entry.cost_limit)._asdict()
    summary["changes"] = facts_of(transitions).get("changes", {})
    with whole_directory(labels) as directory:
        write_parquet(directory / "violations.parquet", VIOLATIONS, [{"violation": h}])
        write_parquet(directory / "episodes.parquet", EPISODES, [episodes._asdict()])
        text = json.dumps(summary, indent=2, allow_nan=False) + "\n"
        (directory / "summary.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
