"""Extract a policy from the critics by weighted regression on the data (Eq. 13-14)."""

import shutil

import numpy as np

from fisor.config.policy import PolicyStage
from fisor.critics import trained
from fisor.data.loading import load
from fisor.data.parquet import read_table, vector
from fisor.methods import FISOR
from fisor.outputs import atomic_directory
from fisor.policies import regression, stored, weights
from fisor.training.fit import fit
from fisor.training.log import write_log
from stages import command


def main(
    task: str, method: str, transitions: str, feasibility: str, reward: str, out: str, log: str
) -> None:
    """Train every seed's policy; write what is needed to act, and the log."""
    settings = command.settings(PolicyStage, task, method)
    unfinished = command.TRAINING / "policy" / task / method
    data = load(transitions, None, settings.timeouts_are_terminal, unfinished / "rows")
    episode = vector(read_table(transitions, ("episode",)), "episode", transitions)
    critics = trained.load(feasibility), trained.load(reward)
    row_weights = weights.data_weights(settings, data, episode, *critics)
    # Drawing rows in proportion to w and leaving w out of the loss has the same expectation.
    drawn = settings.draw_by_weight
    states, curve = fit(
        regression.init(settings, data),
        regression.update(settings, data.actions.shape[-1]),
        regression.learned_from(data),
        np.ones_like(row_weights) if drawn else row_weights,
        row_weights if drawn else None,
        config=settings,
        batch_size=settings.policy_batch_size,
        name=f"train_policy {task} {method}",
        advice=command.advice_on_size(),
        unfinished=unfinished,
    )
    with atomic_directory(out) as directory:
        checkpoint_config = regression.checkpoint_config(settings, data) | {"agent": FISOR}
        stored.save(directory, states.score_average, *critics, checkpoint_config)
    write_log(log, curve)
    shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    command.run(main)
