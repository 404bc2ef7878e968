"""tasks.yaml: one entry per task. The comment at the top of the file explains each key.

Tasks are data rather than code so that DVC can track them one by one: adding a task reruns nothing
else.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from fisor.config.section import Section, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Environment(Section):
    """What is needed to make a task's environment.

    Attributes:
        name: name of the task.
        suite: the simulator, a name in `fisor.envs.suites.SUITES`.
        environment: name of the environment in that suite.
        horizon_steps: time limit of an episode.
    """

    name: str
    suite: str
    environment: str
    horizon_steps: int = setting(ge=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored(Environment):
    """What is needed to score a task's episodes.

    Attributes:
        cost_limit: cost per episode at which the normalised cost is 1.
        reference_returns: lowest and highest return of the dataset.
    """

    cost_limit: float = setting(ge=0)
    reference_returns: tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acquire(Section):
    """Where a dataset comes from.

    Attributes:
        source: `dsrl` uses DSRL's `file`, `collect` makes a similar dataset in the simulator.
        file: name of the file in DSRL.
        transitions: rows to collect, with PointRobot's script.
        environment_steps: steps to collect in; each learner has an equal share, and ends with the
            roll-out that reaches it.
        episodes: how many of the collected episodes the dataset keeps.
        highest_cost: highest cost of an episode in the dataset.
        seed: seed of all randomness.
        discount: discount of the learners; long episodes need more than the usual 0.99.
    """

    source: Literal["dsrl", "collect"]
    file: str | None = dataclasses.field(default=None, metadata={"pattern": r"^\w[\w.-]*\.hdf5$"})
    transitions: int | None = dataclasses.field(default=None, metadata={"ge": 2})
    environment_steps: int | None = dataclasses.field(default=None, metadata={"ge": 1})
    episodes: int | None = dataclasses.field(default=None, metadata={"ge": 1})
    highest_cost: float | None = dataclasses.field(default=None, metadata={"gt": 0, "lt": 1e9})
    seed: int | None = dataclasses.field(default=None, metadata={"ge": 0})
    discount: float = dataclasses.field(default=0.99, metadata={"gt": 0, "lt": 1})

    def __post_init__(self) -> None:
        """Reject an entry that lacks what its source needs."""
        if self.source == "dsrl":
            self.refuse_missing("file")
        elif self.transitions is None:
            self.refuse_missing("environment_steps", "episodes", "highest_cost", "seed")
        else:
            self.refuse_missing("seed")

    def refuse_missing(self, *names: str) -> None:
        """Raise `ValueError` if one of these keys is not given."""
        if missing := [name for name in names if getattr(self, name) is None]:
            raise ValueError(f"must hold `{missing[0]}` for `source: {self.source}`")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompts(Section):
    """What was published for methods that are asked for a return, such as CDT.

    Attributes:
        target_return: that an episode is to reach.
        frontier_degree: of the polynomial of the best return by cost, above which returns are
            augmented.
        highest_return: of an augmented episode.
        return_decrease: how much lower than the frontier's may be the return of an episode that is
            relabelled.
    """

    target_return: float
    frontier_degree: int = setting(ge=0, le=10)
    highest_return: float
    return_decrease: float = setting(ge=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(Scored):
    """One entry of tasks.yaml.

    Attributes:
        paper: whether the task is in the paper's Table 1.
        dense_violation: whether h comes from the dataset.
        record_observations: whether evaluation keeps every observation.
        acquire: where the dataset comes from.
        prompts: published prompts, for methods that are conditioned on a return.
        overrides: of params.yaml: stage, or `baselines` -> parameter -> value.
    """

    paper: bool = False
    dense_violation: bool = False
    record_observations: bool = False
    acquire: Acquire
    prompts: Prompts | None = None
    overrides: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject reference returns that cannot normalise."""
        low, high = self.reference_returns
        if not low < high:
            raise ValueError(f"reference_returns must be [lowest, highest], not [{low}, {high}]")

    def facts(self, section: type[Section]) -> dict[str, Any]:
        """The task's values for those keys of a section that a task has, by name."""
        return {name: getattr(self, name) for name in section.names() if name in Task.names()}
