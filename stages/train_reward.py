"""Learn the reward values Q_r and V_r (Eq. 15-16)."""

import shutil

from fisor import command, critics, reward
from fisor.outputs import whole_directory
from fisor.params import load_for_stage
from fisor.resuming import UNFINISHED
from fisor.training import fit, write_curve
from fisor.transitions import load, read_table, vector


def main(task: str, transitions: str, out: str) -> None:
    """Train every seed's reward critic; write the checkpoint and curve.csv."""
    params, entry = load_for_stage("reward", task)
    unfinished = UNFINISHED / "reward" / task
    data = load(transitions, None, params.timeouts_are_terminal, unfinished / "rows")
    episode = vector(read_table(transitions, ("episode",)), "episode", transitions)
    scale = reward.reward_scale(data.rewards, episode, entry.horizon_steps)
    data = data._replace(rewards=data.rewards * scale)
    states, curve = fit(
        reward.init(params, data),
        reward.update(params),
        data,
        params=params,
        batch_size=params.value_batch_size,
        name=f"train_reward {task}",
        unfinished=unfinished,
    )
    with whole_directory(out) as directory:
        config = critics.config_of(params, data) | {"reward_scale": scale}
        critics.save(directory, states, config)
        write_curve(directory / "curve.csv", curve)
    shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    command.run(main)
