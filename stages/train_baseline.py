"""Train a baseline: a method with a training of its own, without FISOR's critics."""

import shutil
from functools import partial

from fisor.baselines.baseline import Problem, save
from fisor.config.baseline import BaselineStage
from fisor.data.loading import load
from fisor.data.parquet import read_table, vector
from fisor.methods import method_module
from fisor.outputs import atomic_directory
from fisor.training.fit import fit
from fisor.training.log import write_log
from stages import command


def main(task: str, method: str, transitions: str, out: str, log: str) -> None:
    """Train every seed of a baseline; write what is needed to act, and the log."""
    settings, module = command.settings(BaselineStage, task), method_module(method)
    own = command.settings(module.Config, task, method)
    unfinished = command.TRAINING / "baseline" / task / method
    data = load(transitions, None, own.timeouts_are_terminal, unfinished / "rows")
    table = read_table(transitions, ("episode", "step"))
    problem = Problem(
        horizon_steps=settings.horizon_steps,
        cost_limit=settings.cost_limit,
        episode=vector(table, "episode", transitions),
        step=vector(table, "step", transitions),
        prompts=settings.prompts,
    )
    name = f"train_baseline {task} {method}"
    advice = command.advice_on_size()
    fit_own = partial(fit, config=own, name=name, advice=advice, unfinished=unfinished)
    trained = module.train(own, problem, data, fit_own)
    with atomic_directory(out) as directory:
        save(directory, method, own, data, trained)
    write_log(log, trained.curve)
    shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    command.run(main)
