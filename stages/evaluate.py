"""Run a policy in its environment: a row an episode."""

import pyarrow.parquet as pq

from fisor import command, evaluation
from fisor.acting import load_all_seeds
from fisor.outputs import whole_file
from fisor.params import load_for_stage


def main(task: str, method: str, policy: str, rollouts: str) -> None:
    """Evaluate every training seed's policy from the same starts."""
    params, entry = load_for_stage("evaluation", task, method)
    networks, policy_params, _ = load_all_seeds(policy)
    table = evaluation.evaluate(networks, policy_params, entry, method, params)
    with whole_file(rollouts) as partial:
        pq.write_table(table, partial, compression="zstd")


if __name__ == "__main__":
    command.run(main)
