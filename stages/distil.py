"""Distil a policy's sampler into a network of one forward pass."""

import shutil
from pathlib import Path

from fisor.config.distillation import DistilStage
from fisor.critics import trained
from fisor.data.loading import load
from fisor.errors import InputError
from fisor.methods import FISOR
from fisor.nn import checkpoint
from fisor.outputs import atomic_directory
from fisor.policies import distillation, stored
from fisor.policies.score_network import ScoreNetwork
from fisor.training.fit import fit
from fisor.training.log import write_log
from stages import command


def main(task: str, method: str, transitions: str, teacher: str, out: str, log: str) -> None:
    """Train every seed's one-step policy; write what is needed to act, and the log."""
    settings = command.settings(DistilStage, task, method)
    unfinished = command.TRAINING / "distil" / task / method
    config = checkpoint.load_config(teacher)
    score, params = stored.load_network(Path(teacher), config)
    if not isinstance(score, ScoreNetwork):
        raise InputError(f"{teacher}: is no diffusion policy: it acts in one pass already")
    if config["seeds"] != settings.seeds:
        raise InputError(
            f"{teacher}: has {config['seeds']} seeds where `seeds` is {settings.seeds}"
        )
    observations = load(
        transitions, None, settings.timeouts_are_terminal, unfinished / "rows"
    ).observations
    network, observation_dim = distillation.student(settings, score), observations.shape[-1]
    seen, taught = distillation.teach(
        network, score, params, observations, settings.teacher_samples
    )
    states, curve = fit(
        distillation.init(settings, network, observation_dim),
        distillation.update(settings, network),
        seen,
        taught,
        config=settings,
        batch_size=settings.batch_size,
        name=f"distil {task} {method}",
        advice=command.advice_on_size(),
        unfinished=unfinished,
    )
    with atomic_directory(out) as directory:
        written = distillation.checkpoint_config(settings, network, observation_dim)
        feasibility, reward = (trained.load(Path(teacher) / name) for name in stored.CRITICS)
        stored.save(directory, states.params, feasibility, reward, written | {"agent": FISOR})
    write_log(log, curve)
    shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    command.run(main)
