"""Run a policy in its environment; write one row per episode, and its acting parameters."""

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq

from fisor import agents
from fisor.agents import ACTING, TRAINED
from fisor.config.evaluation import EvaluationStage
from fisor.errors import InputError
from fisor.evaluation.scores import evaluate
from fisor.hardware import KEY, processor
from fisor.outputs import atomic_file
from stages import command


def main(task: str, method: str, policy: str, rollouts: str) -> None:
    """Evaluate every training seed's policy from the same starts."""
    settings, trained = command.settings(EvaluationStage, task, method), Path(policy) / TRAINED
    schema = agents.module_of(trained).Acting
    acting = dataclasses.asdict(command.settings(schema, task, method))
    try:
        agent = agents.load_agent(trained, acting)
    except ValueError as error:
        raise InputError(f"params.yaml, method {method}: {error}") from error
    table = evaluate(agent, settings).replace_schema_metadata({KEY: processor()})
    with atomic_file(rollouts) as episodes, atomic_file(Path(policy) / ACTING) as acting_file:
        pq.write_table(table, episodes, compression="zstd")
        agents.write_acting(acting_file, acting)


if __name__ == "__main__":
    command.run(main)
