"""Derive the violation h of each transition, and a summary."""

import json

import pyarrow as pa

from fisor import command
from fisor.labels import summarise, violation_from_cost
from fisor.outputs import whole_directory
from fisor.params import load_params
from fisor.tasks import load_task
from fisor.transitions import DENSE_VIOLATION, check_episodes, read_table, vector, write_parquet


def main(task: str, transitions: str, labels: str) -> None:
    """Write violations.parquet (h, a row a transition) and summary.json."""
    params, entry = load_params(), load_task(task)
    source = DENSE_VIOLATION if entry.dense_violation else "cost"
    table = read_table(transitions, ("episode", "step", source))
    episode = vector(table, "episode", transitions)
    check_episodes(episode, vector(table, "step", transitions), transitions)
    values = vector(table, source, transitions)
    h = values if entry.dense_violation else violation_from_cost(values, params.M)
    schema = pa.schema([pa.field("violation", pa.float32(), nullable=False)])
    with whole_directory(labels) as directory:
        write_parquet(directory / "violations.parquet", schema, [{"violation": h}])
        summary = json.dumps(summarise(h, episode)._asdict(), indent=2) + "\n"
        (directory / "summary.json").write_text(summary, encoding="utf-8")


if __name__ == "__main__":
    command.run(main)
