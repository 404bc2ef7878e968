"""Run a policy in its environment: a row an episode."""

import numpy as np
import pyarrow.parquet as pq

from fisor import command
from fisor.envs.point_robot import PointRobotBatch
from fisor.evaluation import episode_table, roll_out
from fisor.outputs import whole_file
from fisor.params import load_for_stage
from fisor.policy import load_all_seeds


def main(task: str, method: str, policy: str, rollouts: str) -> None:
    """Evaluate every training seed's policy from the same starts."""
    params, entry = load_for_stage("evaluation", task)
    networks, policy_params, _ = load_all_seeds(policy)
    environment = PointRobotBatch()
    reset_seeds = params.evaluation_seed + np.arange(params.episodes)
    result = roll_out(
        networks,
        policy_params,
        entry,
        environment,
        reset_seeds,
        candidates=params.N,
        seed=params.evaluation_seed,
    )
    feasible = environment.truly_feasible(reset_seeds)
    table = episode_table(result, entry, method, reset_seeds, feasible)
    with whole_file(rollouts) as partial:
        pq.write_table(table, partial, compression="zstd")


if __name__ == "__main__":
    command.run(main)
