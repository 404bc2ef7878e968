"""Draw the policy from the data by weighted regression (Eq. 13-14)."""

import shutil

import numpy as np

from fisor import acting, command, critics, policy, weights
from fisor.outputs import whole_directory
from fisor.params import load_for_stage
from fisor.resuming import UNFINISHED
from fisor.training import fit, write_curve
from fisor.transitions import load


def main(task: str, method: str, transitions: str, feasibility: str, reward: str, out: str) -> None:
    """Train every seed's policy; write what is needed to act, and curve.csv."""
    params, _ = load_for_stage("policy", task, method)
    unfinished = UNFINISHED / "policy" / task / method
    data = load(transitions, None, params.timeouts_are_terminal, unfinished / "rows")
    feasibility_critic, reward_critic = critics.load(feasibility), critics.load(reward)
    row_weights = weights.data_weights(params, data, feasibility_critic, reward_critic)
    # Drawing rows in proportion to w and leaving w out of the loss has the same expectation.
    drawn = params.draw_by_weight
    states, curve = fit(
        policy.init(params, data),
        policy.update(params, data.actions.shape[-1]),
        policy.learned_from(data),
        np.ones_like(row_weights) if drawn else row_weights,
        row_weights if drawn else None,
        params=params,
        batch_size=params.policy_batch_size,
        name=f"train_policy {task} {method}",
        unfinished=unfinished,
    )
    with whole_directory(out) as directory:
        acting.save(directory, states.score_average, feasibility_critic, params)
        write_curve(directory / "curve.csv", curve)
    shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    command.run(main)
