"""Learn the feasible values Q_h and V_h (Eq. 7-9), or a cost value in their place."""

import shutil

from fisor import command, critics, feasibility
from fisor.outputs import whole_directory
from fisor.params import load_for_stage
from fisor.resuming import UNFINISHED
from fisor.training import fit, write_curve
from fisor.transitions import load, read_table, vector


def main(task: str, transitions: str, labels: str, out: str) -> None:
    """Train every seed's feasibility critic; write the checkpoint and curve.csv."""
    params, _ = load_for_stage("feasibility", task)
    unfinished = UNFINISHED / "feasibility" / task
    data = load(
        transitions,
        f"{labels}/violations.parquet",
        params.timeouts_are_terminal,
        unfinished / "rows",
    )
    if params.feasibility == feasibility.COST_VALUE:
        costs = vector(read_table(transitions, ("cost",)), "cost", transitions)
        data = data._replace(violations=costs)
    states, curve = fit(
        feasibility.init(params, data),
        feasibility.update(params),
        data,
        params=params,
        batch_size=params.value_batch_size,
        name=f"train_feasibility {task}",
        unfinished=unfinished,
    )
    with whole_directory(out) as directory:
        states = feasibility.at_most_zero_is_feasible(params, states)
        critics.save(directory, states, feasibility.config_of(params, data))
        write_curve(directory / "curve.csv", curve)
    shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    command.run(main)
