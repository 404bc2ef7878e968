"""What the tests of the simulators share: tasks of the table, and episodes run through."""

import dataclasses
from typing import Any

import gymnasium
import numpy as np
from project import ROOT

from fisor.config.files import load_task
from fisor.config.task import Task


def task_of(name: str, **changes: Any) -> Task:
    return dataclasses.replace(load_task(name, ROOT / "tasks.yaml"), **changes)


def episode(environment: gymnasium.Env, seed: int, actions: np.ndarray) -> list[Any]:
    """Everything that an episode gives, until it ends or the actions do."""
    seen: list[Any] = [environment.reset(seed=seed)[0].tolist()]
    for action in actions:
        observation, reward, terminated, truncated, info = environment.step(action)
        seen.append((observation.tolist(), reward, terminated, truncated, info["cost"]))
        if terminated or truncated:
            break
    return seen


def random_actions(environment: gymnasium.Env, seed: int, steps: int) -> np.ndarray:
    size = (steps, *environment.action_space.shape)
    return np.random.default_rng(seed).uniform(-1, 1, size).astype(np.float32)
