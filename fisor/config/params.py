"""params.yaml as a whole: every section's keys, and which tasks and methods run."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from fisor.config.acting import Acting
from fisor.config.data import Conversion, Labels
from fisor.config.evaluation import Evaluation
from fisor.config.feasibility import Feasibility
from fisor.config.policy import Policy
from fisor.config.recording import Recording
from fisor.config.report import Certified
from fisor.config.section import Section, setting

ONE_STEP = "-OneStep"


def one_step_of(policy: str) -> str:
    """The name of the one-step policy that is distilled from a policy; dvc.yaml forms it, too."""
    return policy + ONE_STEP


def policy_of(method: str) -> str:
    """The policy that a one-step policy is distilled from; of another method, the method itself."""
    return method.removesuffix(ONE_STEP)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment(Section):
    """Which tasks and methods run.

    Attributes:
        run: tasks, by their names in tasks.yaml.
        policies: FISOR and its variants, which are extracted from the two critics.
        baselines: methods with a training of their own.
        distilled: those of the policies that one-step policies are distilled from.
        methods: training and acting parameters of each policy and baseline.
        dataset_hosts: hosts of DSRL's files, in the order in which they are tried.
        size: name of the size in use.
        sizes: name -> value of each key that is null in params.yaml, and, under `baselines` and
            `distilled`, values for all of these.
    """

    run: tuple[str, ...] = setting(min_length=1)
    policies: tuple[str, ...] = setting()
    baselines: tuple[str, ...] = setting()
    distilled: tuple[str, ...] = setting()
    methods: Mapping[str, Mapping[str, Mapping[str, Any]]] = setting()
    dataset_hosts: tuple[str, ...] = setting(min_length=1)
    size: str = setting()
    sizes: Mapping[str, Mapping[str, Any]] = setting()

    def __post_init__(self) -> None:
        """Reject lists and entries that contradict each other."""
        for name in ("run", "policies", "baselines", "distilled", "dataset_hosts"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name} must be a list without repeats, not {list(values)}")
        if odd := [h for h in self.dataset_hosts if not h.startswith(("http://", "https://"))]:
            raise ValueError(f"dataset_hosts must begin with http:// or https://, not {odd[0]!r}")
        if both := sorted(set(self.policies) & set(self.baselines)):
            raise ValueError(f"`{both[0]}` is both in policies and in baselines")
        if unknown := [name for name in self.distilled if name not in self.policies]:
            known = ", ".join(self.policies) or "none"
            raise ValueError(
                f"distilled must name policies, which are: {known}; not `{unknown[0]}`"
            )
        for method in self.running:
            if method not in self.methods:
                known = ", ".join(self.methods)
                raise ValueError(f"`{method}` has no entry in methods, which has: {known}")
        for method, entry in self.methods.items():
            if entry.keys() != {"train", "act"}:
                raise ValueError(f"methods.{method} must hold `train` and `act`")

    @property
    def running(self) -> tuple[str, ...]:
        """All methods that run, by their names in `methods`."""
        return (*self.policies, *self.baselines, *map(one_step_of, self.distilled))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Params(
    Experiment, Conversion, Labels, Feasibility, Policy, Acting, Evaluation, Recording, Certified
):
    """params.yaml; its comments explain each key."""
