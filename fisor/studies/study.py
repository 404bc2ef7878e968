"""A study: studies/NAME.yaml, checked; and the experiments that it asks for."""

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fisor.config.checking import checked
from fisor.config.params import policy_of
from fisor.config.section import Section, setting
from fisor.config.yaml_files import read_yaml, shown_value
from fisor.envs.suites import SUITES, suite
from fisor.errors import InputError
from fisor.evaluation.regions import Agreement
from fisor.methods import BASELINES
from fisor.report.scatter import WITHOUT_LIMIT
from fisor.report.tables import COST, REWARD
from fisor.studies.claims import MEASURES

NAME_LENGTH = 200  # of an experiment: it becomes a file of Git's


@cache
def known_columns() -> tuple[str, ...]:
    """Figures of metrics.json that a study may show; a task that lacks one has a dash there."""
    results = [result for name in SUITES for result in suite(name).results]
    return (
        *dict.fromkeys(result.name.replace(" ", "_") for result in results),
        *(f"mean_{field}" for field in Agreement._fields),
        "mean_feasible_value",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim(Section):
    """A claim of the paper: one figure is lower in one variant than in another.

    Attributes:
        claim: the sentence.
        measure: a name in `fisor.studies.claims.MEASURES`.
        lower: the variant whose figure should be the lower one.
        higher: the other variant.
    """

    claim: str
    measure: str
    lower: str
    higher: str


class Experiment(NamedTuple):
    """One run of the pipeline.

    Attributes:
        name: DVC's name of it, after what it changes.
        task: the only task in its `run`.
        method: the only one of its `policies` and `baselines`, or the one-step policy.
        variant: the study's word for it.
        changes: `-S` keys (`tau`, `tasks.yaml:PointRobot.horizon_steps`) to values.
    """

    name: str
    task: str
    method: str
    variant: str
    changes: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study(Section):
    """One file of studies/; `grid` or `variants`, and `claims` for their figure alone.

    Attributes:
        name: the file's name without its ending.
        title: of the page.
        reproduces: the paper's table or figure.
        about: what to look for.
        tasks: in tasks.yaml.
        figure: what is drawn.
        method: whose policies are shown; a variant's `method` goes before it.
        params: what every experiment changes.
        variants: what each one changes beyond that; a grid's points are variants, too.
        grid: parameter -> its values; empty where the file names the variants itself.
        rows: what is a row of the table.
        columns: names of metrics.json, such as `normalised_reward`.
        paper: a CSV file with the paper's figures, its path from the file on; None where it has
            none.
        only_safe: the variant that the paper says is the only one that is safe on every task.
        claims: what to check, for the figure `claims`.
    """

    name: str
    title: str = setting(min_length=1)
    reproduces: str = setting(min_length=1)
    about: str = setting(min_length=1)
    tasks: tuple[str, ...] = setting(min_length=1)
    figure: Literal["bars", "lines", "reward_against_cost", "regions", "trajectories", "claims"] = (
        setting()
    )
    method: str = "FISOR"
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    grid: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    rows: Literal["variants", "tasks"] = "variants"
    columns: tuple[str, ...] = ()
    paper: str | None = None
    only_safe: str | None = None
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what the types cannot tell."""
        if bool(self.variants) == bool(self.grid):
            raise ValueError("`variants` or `grid`: one of the two is needed, and not both")
        if empty := [key for key, values in self.grid.items() if not values]:
            raise ValueError(f"`grid.{empty[0]}` must be a list of values")
        if self.figure == "lines" and not 1 <= len(self.grid) <= 2:
            raise ValueError("`figure: lines` needs a `grid` of one or two parameters")
        if self.figure in ("bars", "lines") and not self.columns:
            raise ValueError("`columns` is missing")
        if self.figure == "reward_against_cost" and (
            REWARD not in self.columns or not {COST, WITHOUT_LIMIT} & set(self.columns)
        ):
            needed = f"`{REWARD}`, and `{COST}` or `{WITHOUT_LIMIT}`"
            raise ValueError(f"`figure: reward_against_cost` needs {needed} among `columns`")
        if self.only_safe is not None and self.only_safe not in self.points:
            known = ", ".join(self.points)
            raise ValueError(f"`only_safe` names `{self.only_safe}`; the variants are: {known}")
        if (self.figure == "claims") != bool(self.claims):
            raise ValueError("`claims` and `figure: claims` belong together")
        for column in self.columns:
            if column not in known_columns():
                raise ValueError(f"`columns` has `{column}`, none of {', '.join(known_columns())}")
        for claim in self.claims:
            if claim.measure not in MEASURES:
                known = ", ".join(MEASURES)
                raise ValueError(f"`{claim.measure}` is no measure of a claim; known: {known}")
            for variant in (claim.lower, claim.higher):
                if variant not in self.points:
                    known = ", ".join(self.points)
                    raise ValueError(f"a claim names `{variant}`; the variants are: {known}")

    def method_of(self, variant: str) -> str:
        """The method that a variant runs."""
        return self.points[variant].get("method", self.method)

    @property
    def points(self) -> Mapping[str, Mapping[str, Any]]:
        """The variants; of a grid every combination, the last parameter fastest."""
        if self.variants:
            return self.variants
        combinations = (
            dict(zip(self.grid, point, strict=True))
            for point in itertools.product(*self.grid.values())
        )
        return {described(point): point for point in combinations}

    def experiments(
        self, tasks: tuple[str, ...], changes: Mapping[str, Any]
    ) -> tuple[Experiment, ...]:
        """The experiments, task by task, in the file's order.

        Args:
            tasks: instead of the study's own, if not empty.
            changes: from the command line; they win over the study's and stand in the names, as the
                variant's own do; by a hash where they are many.

        Raises:
            InputError: two experiments would have one name, or a name would be too long.
        """
        made: dict[str, Experiment] = {}
        for task, (variant, own) in itertools.product(tasks or self.tasks, self.points.items()):
            method = self.method_of(variant)
            own = {key: value for key, value in own.items() if key != "method"}
            named = {**({"method": method} if method != self.method else {}), **own}
            of_variant = [_word(change) for change in named.items() if change[0] not in changes]
            common = [_word(change) for change in changes.items()]
            # Where they are many, those of the command line stand by a hash, then all of them.
            choices = (
                [*of_variant, *common] or ["default"],
                [*of_variant, _hashed(common)],
                [_hashed([*of_variant, *common])],
            )
            names = ["-".join([self.name, task, *words]) for words in choices]
            name = next((each for each in names if len(each) <= NAME_LENGTH), names[-1])
            if name in made or len(name) > NAME_LENGTH:
                reason = "two experiments have this name" if name in made else "it is too long"
                raise InputError(f"study {self.name}: cannot name an experiment `{name}`: {reason}")
            runs = {"run": [task], **_what_runs(method), "record": False}
            made[name] = Experiment(
                name, task, method, variant, {**self.params, **own, **changes, **runs}
            )
        return tuple(made.values())


def _what_runs(method: str) -> dict[str, list[str]]:
    """The lists of params.yaml with which a method runs, and no other that it does not need."""
    if method in BASELINES:
        return {"policies": [], "baselines": [method], "distilled": []}
    policy = policy_of(method)
    distilled = [policy] if policy != method else []
    return {"policies": [policy], "baselines": [], "distilled": distilled}


def described(point: Mapping[str, Any]) -> str:
    """`-S` changes on one line."""
    return ", ".join(f"{key} = {shown_value(value)}" for key, value in point.items())


def shared_changes(experiments: Sequence[Experiment]) -> dict[str, Any]:
    """The `-S` changes that all of a study's experiments have in common."""
    first, *others = (e.changes for e in experiments)
    return {
        key: value
        for key, value in first.items()
        if all(key in changes and changes[key] == value for changes in others)
    }


def _hashed(words: Sequence[str]) -> str:
    return f"{len(words)}_changes_{hashlib.sha256('-'.join(words).encode()).hexdigest()[:8]}"


def _word(change: tuple[str, Any]) -> str:
    """`key=value` in the letters that Git allows in a name."""
    key, value = change
    text = f"{key.split('.')[-1].split(':')[-1]}={shown_value(value)}"
    return re.sub(r"[^A-Za-z0-9_.=+]+", "_", text).strip("_.").replace("..", "_")


def load_study(path: str | Path) -> Study:
    """Read and check a study's file.

    Raises:
        InputError: a key (named) is unknown, missing or of another type, a variant or column that
            is referred to is not there, or the paper's file is missing.
    """
    path = Path(path)
    study = checked(Study, {**read_yaml(path), "name": path.stem}, path)
    if study.paper is None:
        return study
    paper = path.parent / study.paper
    if not paper.exists():
        raise InputError(f"{path}: `paper` names {paper}, which is not there")
    return dataclasses.replace(study, paper=str(paper))
