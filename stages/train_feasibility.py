"""Learn the feasible values Q_h and V_h (Eq. 7-9), or a cost value in their place."""

import shutil

from fisor.config.feasibility import FeasibilityStage
from fisor.critics import feasibility, pair
from fisor.data.loading import load
from fisor.outputs import atomic_directory
from fisor.training.fit import fit
from fisor.training.log import write_log
from stages import command


def main(task: str, transitions: str, labels: str, out: str, log: str) -> None:
    """Train every seed's feasibility critic; write the checkpoint, and the log."""
    settings = command.settings(FeasibilityStage, task)
    unfinished = command.TRAINING / "feasibility" / task
    data = load(
        transitions,
        f"{labels}/violations.parquet",
        settings.timeouts_are_terminal,
        unfinished / "rows",
    )
    states, curve = fit(
        feasibility.init(settings, data),
        feasibility.update(settings),
        feasibility.learned_from(settings, data),
        config=settings,
        batch_size=settings.value_batch_size,
        name=f"train_feasibility {task}",
        advice=command.advice_on_size(),
        unfinished=unfinished,
    )
    with atomic_directory(out) as directory:
        trained = feasibility.finished(settings, states)
        pair.save(directory, trained, feasibility.checkpoint_config(settings, data))
    write_log(log, curve)
    shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    command.run(main)
