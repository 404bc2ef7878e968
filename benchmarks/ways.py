"""Ways to train FISOR that can be stopped, acted by, and gone on with: the stages, and the loop."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.reference_loop import ReferenceLoop
from benchmarks.training import STAGES, stage_training
from benchmarks.updates import Training
from fisor import agents
from fisor.agents import Agent
from fisor.config import layers
from fisor.config.acting import Acting
from fisor.config.evaluation import EvaluationStage
from fisor.config.feasibility import FeasibilityStage
from fisor.config.files import load_params
from fisor.config.params import Params
from fisor.config.policy import PolicyStage
from fisor.config.reward import RewardStage
from fisor.config.section import Section
from fisor.config.yaml_files import read_yaml
from fisor.critics import feasibility, pair, reward
from fisor.critics.trained import CriticNetworks, TrainedCritic
from fisor.data.loading import load
from fisor.data.parquet import read_table, vector
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.methods import FISOR
from fisor.policies import regression, stored
from fisor.policies.weights import data_weights

# Updates between two looks at the clock; each of the stages' lengths is a program of its own.
CHUNKS = {"train_feasibility": 250, "train_reward": 250, "train_policy": 50}
LOOP_CHUNK = 50

Progress = Callable[[int], object]  # is told of updates, or joint steps, that are done


class Problem(NamedTuple):
    """What every way learns from, and how its policies are evaluated.

    Attributes:
        data: the dataset, with scaled rewards and h, on the host.
        episode: `[n]` the episode of each row.
        reward_scale: by which the rewards were multiplied.
        evaluation: of policies.
        acting: of policies.
    """

    data: Transitions
    episode: np.ndarray
    reward_scale: float
    evaluation: EvaluationStage
    acting: Acting


class Sizes(NamedTuple):
    """The sections of the three stages, with the values of one size."""

    feasibility: FeasibilityStage
    reward: RewardStage
    policy: PolicyStage

    def times(self, share: float) -> "Sizes":
        """The same, trained for that many times the steps, at least one; rates decay over these."""

        def times(config: Any) -> Any:
            steps = max(1, round(share * config.training_steps))
            return dataclasses.replace(config, training_steps=steps)

        return Sizes(times(self.feasibility), times(self.reward), times(self.policy))

    @property
    def steps(self) -> tuple[int, int, int]:
        """Training steps of each stage."""
        feasibility, reward, policy = (each.training_steps for each in self)
        return feasibility, reward, policy


class Way(Protocol):
    """A training of a whole policy."""

    steps: int

    def advance(self, steps: int, progress: Progress) -> None:
        """Go on by so many steps of everything, and wait until they are done."""
        ...

    def agent(self) -> Agent:
        """The policy as it is now."""
        ...


def sizes_of(task: str, size: str, *, overrides: bool, seeds: int = 1) -> Sizes:
    """The stages' sections for FISOR.

    Args:
        task: a name in tasks.yaml.
        size: a name in `sizes` of params.yaml; its values replace those above, null or not.
        overrides: whether what the task overrides takes precedence, as in the pipeline.
        seeds: that train side by side.

    Raises:
        InputError: there is no such task or size, or a key is unknown or missing.
    """
    params, tasks = layers.read_params(), read_yaml(layers.TASKS)
    if size not in params["sizes"]:
        raise InputError(f"{layers.PARAMS}: `sizes` has no `{size}`")

    def section(schema: type[Section]) -> Any:
        config = layers.load(schema, task, FISOR)
        values = {name: params["sizes"][size][name] for name in schema.names_by_task()}
        values |= params["sizes"][size].get(schema.OVERRIDES, {})
        if schema.METHOD_PART:
            values |= layers.method_part(params, FISOR, schema.METHOD_PART)
        if overrides:
            values |= layers.overridden(schema, layers.task_entry(task, tasks))
        return layers.typed(schema, dataclasses.asdict(config) | values | {"seeds": seeds})

    return Sizes(section(FeasibilityStage), section(RewardStage), section(PolicyStage))


def params_of(sizes: Sizes) -> Params:
    """The same values as one section, for the reference loop, whose stages do not differ."""
    together: dict[str, Any] = {}
    for config in sizes:
        together |= dataclasses.asdict(config)
    known = Params.names()
    values = {name: value for name, value in together.items() if name in known}
    return dataclasses.replace(load_params(), **values)


def problem_of(task: str, folder: Path, episodes: int | None) -> Problem:
    """Read a task's transitions and labels, as the training stages do.

    Args:
        task: a name in tasks.yaml.
        folder: the pipeline's data folder.
        episodes: of an evaluation; None: as many as the task has.

    Raises:
        InputError: there is no such task, or a file is missing or bad.
    """
    evaluation = layers.load(EvaluationStage, task, FISOR)
    transitions = folder / "transitions" / f"{task}.parquet"
    violations = folder / "labels" / task / "violations.parquet"
    for file in (transitions, violations):
        if not file.exists():
            raise InputError(
                f"{file}: there is no such file; `dvc repro label` makes it for the tasks in `run` "
                "of params.yaml, and --data names another folder"
            )
    changes: dict[str, Any] = {"record_observations": False}
    changes |= {} if episodes is None else {"episodes": episodes}
    data = load(transitions, violations, load_params().timeouts_are_terminal)
    episode = vector(read_table(transitions, ("episode",)), "episode", transitions)
    scale = reward.reward_scale(data.rewards, episode, evaluation.horizon_steps)
    return Problem(
        data._replace(rewards=data.rewards * scale),
        episode,
        scale,
        dataclasses.replace(evaluation, **changes),
        layers.load(Acting, task, FISOR),
    )


class Stages:
    """The project's stages, in turns: both critics go on, then the policy, by their weights.

    With one turn, this is the pipeline: finished critics, then the policy. With several turns the
    policy goes on from where it is, with weights from the critics as they now are.

    Attributes:
        steps: of the policy, done so far.
    """

    def __init__(self, problem: Problem, sizes: Sizes, seeds: Sequence[int]) -> None:
        """Start the networks of these seeds, as the stages do."""
        self._problem, self._sizes = problem, sizes
        keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
        self._trainings = {
            stage: Training(stage_training(stage, config, problem.data, problem.data), keys)
            for stage, config in zip(STAGES, sizes, strict=True)
        }
        self.steps = 0

    def advance(self, steps: int, progress: Progress) -> None:
        """Go on by as many steps of each stage."""
        self.take_turn((steps, steps, steps), progress)

    def take_turn(self, steps: tuple[int, int, int], progress: Progress) -> None:
        """Go on by so many steps of the feasibility critic, the reward critic and the policy."""
        *of_critics, of_policy = steps
        *critics, policy = STAGES
        for stage, updates in zip(critics, of_critics, strict=True):
            self._go_on(stage, updates, progress)
        problem, config = self._problem, self._sizes.policy
        weights = data_weights(config, problem.data, problem.episode, *self._critics())
        # Drawing rows in proportion to w and leaving w out of the loss has the same expectation.
        drawn = config.draw_by_weight
        given = (np.ones_like(weights), weights) if drawn else (weights, None)
        self._trainings[policy].learn_from(*given)
        self._go_on(policy, of_policy, progress)
        self.steps += of_policy

    def _go_on(self, stage: str, updates: int, progress: Progress) -> None:
        training, chunk = self._trainings[stage], CHUNKS[stage]
        for first in range(0, updates, chunk):
            length = min(chunk, updates - first)
            training.advance(length)
            jax.block_until_ready(training.states)
            progress(length)

    def _critics(self) -> tuple[TrainedCritic, TrainedCritic]:
        data, sizes = self._problem.data, self._sizes
        scale = {"reward_scale": self._problem.reward_scale}
        of_h, of_r, _ = (self._trainings[stage].states for stage in STAGES)
        of_h = feasibility.finished(sizes.feasibility, of_h)
        of_r = reward.finished(sizes.reward, of_r)
        networks = [
            CriticNetworks.of_size(each.hidden_layers, each.hidden_units)
            for each in (sizes.feasibility, sizes.reward)
        ]
        configs = (
            feasibility.checkpoint_config(sizes.feasibility, data),
            pair.checkpoint_config(sizes.reward, data) | scale,
        )
        return (
            TrainedCritic(networks[0], of_h.q_target, of_h.v, configs[0]),
            TrainedCritic(networks[1], of_r.q_target, of_r.v, configs[1]),
        )

    def agent(self) -> Agent:
        """The policy as it is now, written and read as the pipeline does."""
        config, policy = self._sizes.policy, self._trainings[STAGES[-1]].states
        about = regression.checkpoint_config(config, self._problem.data) | {"agent": FISOR}
        with TemporaryDirectory() as folder:
            stored.save(Path(folder), policy.score_average, *self._critics(), about)
            return agents.load_agent(folder, dataclasses.asdict(self._problem.acting))


class Loop:
    """The reference loop, which trains everything in each of its joint steps.

    Attributes:
        steps: joint steps done so far.
    """

    def __init__(self, problem: Problem, params: Params, seed: int) -> None:
        """Start its networks."""
        self._acting, self.steps = problem.acting, 0
        self._loop = ReferenceLoop(
            params, problem.data, ("reward", "feasibility"), policy=True, seed=seed
        )

    def advance(self, steps: int, progress: Progress) -> None:
        """Go on by joint steps, each of two updates of the policy."""
        for first in range(0, steps, LOOP_CHUNK):
            length = min(LOOP_CHUNK, steps - first)
            jax.block_until_ready(self._loop.advance(length))
            progress(length)
        self.steps += steps

    def agent(self) -> Agent:
        """The policy as it is now."""
        return self._loop.agent(self._acting.N, self._acting.sampler)
