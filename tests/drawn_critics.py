"""Critics of drawn weights, saved and read back as trained ones are."""

from pathlib import Path
from typing import Any

import jax
from oracles import drawn_params

from fisor.config.params import Params
from fisor.critics import pair, trained
from fisor.critics.pair import CriticState
from fisor.critics.trained import TrainedCritic
from fisor.data.transitions import Transitions


def of_seed(tree: Any, seed: int) -> Any:
    """One seed of stacked parameters."""
    return jax.tree.map(lambda stacked: stacked[seed], tree)


def unlike_critic(directory: Path, params: Params, data: Transitions, seed: int) -> TrainedCritic:
    """A critic of drawn weights, whose Q and V take both signs, saved and read back."""
    directory.mkdir()
    networks = trained.CriticNetworks.of_size(params.hidden_layers, params.hidden_units)
    q, v = drawn_params(lambda key: networks.init_params(key, 3, 2), seed, params.seeds)
    states = CriticState(q=None, v=v, q_target=q, q_optimiser=None, v_optimiser=None)
    pair.save(directory, states, pair.checkpoint_config(params, data))
    return trained.load(directory)


def unlike_critics(
    folder: Path, params: Params, data: Transitions
) -> tuple[TrainedCritic, TrainedCritic]:
    """A feasibility and a reward critic in two folders of `folder`."""
    return (
        unlike_critic(folder / "feasibility", params, data, seed=1),
        unlike_critic(folder / "reward", params, data, seed=2),
    )
