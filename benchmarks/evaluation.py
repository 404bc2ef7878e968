"""Episodes a second of evaluation, against one environment and one episode at a time.

Run from the project's root: `python -m benchmarks.evaluation BallRun CarGoal1`. Policies are fresh,
once small, so that the simulator takes the time, and once of the paper's sizes, whose products take
the most of it. Compilation and the start of the processes are left out on both sides.
"""

import dataclasses
import os
import platform
import sys
import time
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.acting import fresh_policy
from fisor.agents import Agent, Step
from fisor.config.acting import Acting
from fisor.config.evaluation import EvaluationStage
from fisor.config.files import load_params
from fisor.config.layers import load
from fisor.envs.pool import SimulatorPool
from fisor.envs.suites import make_environment, suite_of
from fisor.evaluation.rollouts import roll_out
from fisor.evaluation.scores import episodes_in_flight
from fisor.policies import agent
from fisor.policies.stored import PolicyNetworks, PolicyParams

HORIZON_STEPS = 50  # of every task, so that none takes long
LONE_EPISODES = 6
SMALL: dict[str, Any] = {"hidden_units": 16, "policy_units": 16, "policy_blocks": 1, "N": 4}


def lone_rate(
    networks: PolicyNetworks, stacked: PolicyParams, task: EvaluationStage, acting: Acting
) -> float:
    """Steps a second of one environment, one episode at a time."""
    act = jax.jit(partial(agent.act, networks, acting=acting))
    of_seed = jax.tree.map(lambda leaf: leaf[0], stacked)
    environment = make_environment(task)
    steps, started = 0, 0.0
    for episode in range(1 + LONE_EPISODES):
        if episode == 1:  # all is compiled
            steps, started = 0, time.perf_counter()
        observation, _ = environment.reset(seed=episode)
        over = False
        while not over:
            key = jax.random.fold_in(jax.random.key(episode), steps)
            (action,) = np.asarray(act(of_seed, observation[None], key))
            observation, _, terminated, truncated, _ = environment.step(action)
            steps, over = steps + 1, terminated or truncated
    rate = steps / (time.perf_counter() - started)
    environment.close()
    return rate


def pool_rate(
    networks: PolicyNetworks,
    stacked: PolicyParams,
    task: EvaluationStage,
    acting: Acting,
    episodes: int,
) -> float:
    """Steps a second of an evaluation: a long one less a short one, without what starts it."""

    def act(params: Any, memory: tuple[()], step: Step, key: jax.Array) -> Any:
        return agent.act(networks, params, step.observation[None], key, acting)[0], memory

    policy = Agent(stacked, networks.score.action_dim, tuple, act)
    in_flight = episodes_in_flight(episodes, suite_of(task))
    with SimulatorPool(task, policy.seeds * in_flight) as pool:
        run = partial(roll_out, policy, task, pool, in_flight=in_flight)
        run(reset_seeds=np.arange(in_flight))  # the processes make their environments
        steps, seconds = [], []
        for count in (in_flight, 3 * in_flight):
            started = time.perf_counter()
            steps.append(run(reset_seeds=np.arange(count)).lengths.sum())
            seconds.append(time.perf_counter() - started)
    return float((steps[1] - steps[0]) / (seconds[1] - seconds[0]))


def main() -> None:
    """Print a table: steps and episodes a second both ways, and their ratio."""
    full = load_params()
    cores = len(os.sched_getaffinity(0))
    print(
        f"{platform.machine()}, {cores} cores, {jax.devices()[0].device_kind}, {full.seeds} seeds"
    )
    print("| task | policy | one at a time, steps/s | pool, steps/s | pool, episodes/s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[1:] or ["BallRun"]:
        task = dataclasses.replace(
            load(EvaluationStage, name), horizon_steps=HORIZON_STEPS, evaluation_seed=0
        )
        environment = make_environment(task)
        dims = environment.observation_space.shape, environment.action_space.shape
        environment.close()
        for title, params in (("small", dataclasses.replace(full, **SMALL)), ("paper's", full)):
            networks, stacked = fresh_policy(params, *(shape[0] for shape in dims if shape))
            lone = lone_rate(networks, stacked, task, params)
            pool = pool_rate(networks, stacked, task, params, full.episodes)
            print(
                f"| {name} | {title} | {lone:.0f} | {pool:.0f} | {pool / HORIZON_STEPS:.1f} "
                f"| {pool / lone:.2f} |"
            )


if __name__ == "__main__":
    main()
