"""Draw the diffusion policy from the data by weighted regression (Eq. 13-14)."""

import numpy as np

from fisor import command, critics, policy
from fisor.outputs import whole_directory
from fisor.params import load_for_stage
from fisor.training import fit, write_curve
from fisor.transitions import load


def main(task: str, transitions: str, feasibility: str, reward: str, out: str) -> None:
    """Train every seed's score network; write what is needed to act, and curve.csv."""
    params, _ = load_for_stage("policy", task)
    data = load(transitions, None, params.timeouts_are_terminal)
    feasibility_critic, reward_critic = critics.load(feasibility), critics.load(reward)
    weights = policy.data_weights(params, data, feasibility_critic, reward_critic)
    # Drawing rows in proportion to w and leaving w out of the loss has the same expectation.
    drawn = params.draw_by_weight
    states, curve = fit(
        policy.init(params, data),
        policy.update(params, data.actions.shape[-1]),
        data,
        np.ones_like(weights) if drawn else weights,
        weights if drawn else None,
        params=params,
        batch_size=params.policy_batch_size,
        name=f"train_policy {task}",
    )
    with whole_directory(out) as directory:
        policy.save(directory, states, feasibility_critic, params)
        write_curve(directory / "curve.csv", curve)


if __name__ == "__main__":
    command.run(main)
