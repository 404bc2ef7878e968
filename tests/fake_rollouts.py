"""Roll-outs in the environments of fake_environments.py, on a task that is else BallRun."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from configured import section
from fake_environments import make_counting

from fisor.agents import Agent
from fisor.config.evaluation import EvaluationStage
from fisor.config.task import Environment
from fisor.envs.pool import SimulatorPool
from fisor.evaluation.rollouts import Rollouts, roll_out

LENGTHS = np.array([2, 5, 3, 9, 1, 4, 5])  # the reset seeds of the fake environment
SEEDS = 2


def on_ball_run(**changes: Any) -> EvaluationStage:
    """What an evaluation on BallRun is told; episodes last as long as the fake ones want."""
    return section(
        EvaluationStage, "BallRun", **{"record_observations": True, "evaluation_seed": 11} | changes
    )


def failing(what: str, marker: Path | str = "") -> EvaluationStage:
    return on_ball_run(environment=f"{what}:{marker}")


def rolled(
    agent: Agent,
    task: EvaluationStage | None = None,
    in_flight: int = 3,
    make: Callable[[Environment], gymnasium.Env] = make_counting,
    **options: Any,
) -> Rollouts:
    """Roll an agent of two seeds and two actions out in a fake environment."""
    task = task or on_ball_run()
    with SimulatorPool(task, SEEDS * in_flight, make=make, **options) as pool:
        return roll_out(agent, task, pool, reset_seeds=LENGTHS, in_flight=in_flight)


def assert_equal(first: Rollouts, second: Rollouts) -> None:
    """Equal bit by bit."""
    for name, mine, other in zip(Rollouts._fields, first, second, strict=True):
        np.testing.assert_array_equal(mine, other, err_msg=name)
