"""Learn the reward values Q_r and V_r (Eq. 15-16)."""

import shutil

from fisor.config.reward import RewardStage
from fisor.critics import pair, reward
from fisor.data.loading import load
from fisor.data.parquet import read_table, vector
from fisor.outputs import atomic_directory
from fisor.training.fit import fit
from fisor.training.log import write_log
from stages import command


def main(task: str, transitions: str, out: str, log: str) -> None:
    """Train every seed's reward critic; write the checkpoint, and the log."""
    settings = command.settings(RewardStage, task)
    unfinished = command.TRAINING / "reward" / task
    data = load(transitions, None, settings.timeouts_are_terminal, unfinished / "rows")
    episode = vector(read_table(transitions, ("episode",)), "episode", transitions)
    scale = reward.reward_scale(data.rewards, episode, settings.horizon_steps)
    data = data._replace(rewards=data.rewards * scale)
    states, curve = fit(
        reward.init(settings, data),
        reward.update(settings),
        reward.learned_from(data),
        config=settings,
        batch_size=settings.value_batch_size,
        name=f"train_reward {task}",
        advice=command.advice_on_size(),
        unfinished=unfinished,
    )
    with atomic_directory(out) as directory:
        checkpoint_config = pair.checkpoint_config(settings, data) | {"reward_scale": scale}
        pair.save(directory, reward.finished(settings, states), checkpoint_config)
    write_log(log, curve)
    shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    command.run(main)
