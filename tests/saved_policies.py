"""Policies with drawn parameters, in a folder as training and evaluation write them."""

from pathlib import Path

from oracles import drawn_params

from fisor.agents import ACTING, TRAINED, write_acting
from fisor.config.params import Params
from fisor.critics.trained import TrainedCritic
from fisor.data.transitions import Transitions
from fisor.policies import regression, stored
from fisor.policies.regression import PolicyState

SEEDS, CANDIDATES = 2, 8
RULE = {"acting_rule": "lowest_violation", "margin": 0.0, "proposals": 0}
BY_EIGHT = {"N": CANDIDATES, "sampler": "ddpm", "acting_precision": "float32", **RULE}


def score_networks(params: Params, data: Transitions) -> PolicyState:
    """Score networks of `SEEDS` seeds; the latest weights differ from the averaged ones."""
    fresh = regression.init(params, data)
    score, average = (drawn_params(lambda key: fresh(key).score, n, SEEDS) for n in (3, 4))
    return PolicyState(score, average, optimiser=None)


def saved_policy(
    folder: Path,
    params: Params,
    data: Transitions,
    states: PolicyState,
    critics: tuple[TrainedCritic, TrainedCritic],
) -> Path:
    """Save a policy that acts by eight candidates in an empty folder, which is returned."""
    (folder / TRAINED).mkdir()
    config = regression.checkpoint_config(params, data) | {"agent": "FISOR"}
    stored.save(folder / TRAINED, states.score_average, *critics, config)
    write_acting(folder / ACTING, BY_EIGHT)
    return folder
