"""A study: studies/NAME.yaml, checked; and the experiments that it asks for."""

import dataclasses
import hashlib
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fisor.errors import InputError
from fisor.regions import Agreement
from fisor.tables import POINT_ROBOT_RESULTS, SIMULATOR_RESULTS
from fisor.tasks import read_yaml

# Figures of metrics.json that a study may show; a task that lacks one has a dash there.
COLUMNS = (
    *dict.fromkeys(name.replace(" ", "_") for name in (*POINT_ROBOT_RESULTS, *SIMULATOR_RESULTS)),
    *(f"mean_{field}" for field in Agreement._fields),
    "mean_feasible_value",
)
FIGURES = ("bars", "lines", "regions", "trajectories", "claims")
NAME_LENGTH = 200  # of an experiment: it becomes a file of Git's

_REQUIRED = {"title": str, "reproduces": str, "about": str, "tasks": list, "figure": str}
_OPTIONAL = {
    "method": str,
    "params": dict,
    "variants": dict,
    "grid": dict,
    "rows": str,
    "columns": list,
    "paper": str,
    "claims": list,
}


class Claim(NamedTuple):
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
        method: the only method in its `methods`.
        variant: the study's word for it.
        changes: `-S` keys (`tau`, `tasks.yaml:PointRobot.horizon_steps`) to values.
    """

    name: str
    task: str
    method: str
    variant: str
    changes: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Study:
    """One file of studies/.

    Attributes:
        name: the file's name without its ending.
        title: of the page.
        reproduces: the paper's table or figure.
        about: what to look for.
        tasks: in tasks.yaml.
        method: whose policies are shown; a variant's `method` goes before it.
        params: what every experiment changes.
        variants: what each one changes beyond that; a grid's points are variants, too.
        grid: parameter -> its values; empty where the file names the variants itself.
        rows: what is a row of the table, `variants` or `tasks`.
        columns: names of metrics.json, such as `normalised_reward`.
        figure: one of `FIGURES`.
        paper: a CSV file beside the study with the paper's figures; None where it has none.
        claims: what to check, for the figure `claims`.
    """

    name: str
    title: str
    reproduces: str
    about: str
    tasks: tuple[str, ...]
    method: str
    params: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Any]]
    grid: Mapping[str, tuple[Any, ...]]
    rows: str
    columns: tuple[str, ...]
    figure: str
    paper: Path | None
    claims: tuple[Claim, ...]

    def experiments(
        self, tasks: tuple[str, ...], changes: Mapping[str, Any]
    ) -> tuple[Experiment, ...]:
        """The experiments, task by task, in the file's order.

        Args:
            tasks: instead of the study's own, if not empty.
            changes: from the command line; they win over the study's and stand in the names,
                by a hash where they are many.

        Raises:
            InputError: two experiments would have one name, or a name would be too long.
        """
        made: dict[str, Experiment] = {}
        for task, (variant, own) in itertools.product(tasks or self.tasks, self.variants.items()):
            own = dict(own)
            method = own.pop("method", self.method)
            named = {**({"method": method} if method != self.method else {}), **own}
            begin = [self.name, task, *(_word(c) for c in named.items() if c[0] not in changes)]
            common = [_word(change) for change in changes.items()]
            name = "-".join([*begin, *common] if named or changes else [*begin, "default"])
            if len(name) > NAME_LENGTH:  # many changes from the command line: they stand by a hash
                digest = hashlib.sha256("-".join(common).encode()).hexdigest()[:8]
                name = "-".join([*begin, f"{len(common)}_changes_{digest}"])
            if name in made or len(name) > NAME_LENGTH:
                reason = "two experiments have this name" if name in made else "it is too long"
                raise InputError(f"study {self.name}: cannot name an experiment `{name}`: {reason}")
            setting = {**self.params, **own, **changes, "run": [task], "methods": [method]}
            made[name] = Experiment(name, task, method, variant, setting)
        return tuple(made.values())


def _word(change: tuple[str, Any]) -> str:
    """`key=value` in the letters that Git allows in a name."""
    key, value = change
    text = f"{key.split('.')[-1].split(':')[-1]}={shown_value(value)}"
    return re.sub(r"[^A-Za-z0-9_.=+]+", "_", text).strip("_.").replace("..", "_")


def shown_value(value: Any) -> str:
    """A parameter's value as YAML writes it on one line: `true`, `0.8`, `[BallRun, CarRun]`."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("...\n").strip()


def load_study(path: str | Path) -> Study:
    """Read and check a study's file.

    Raises:
        InputError: a key (named) is unknown, missing or of another type, a variant or column that
            is referred to is not there, or the paper's file is missing.
    """
    path = Path(path)
    values = read_yaml(path)

    def refuse(key: str, reason: str) -> InputError:
        return InputError(f"{path}: `{key}` {reason}")

    for key, value in values.items():
        kind = (_REQUIRED | _OPTIONAL).get(key)
        if kind is None:
            known = ", ".join(_REQUIRED | _OPTIONAL)
            raise InputError(f"{path}: unknown key `{key}`; known: {known}")
        if not value or not isinstance(value, kind):
            words = {str: "a text", list: "a list of one or more", dict: "`key: value` lines"}
            raise refuse(key, f"must be {words[kind]}, not {value!r}")
    for key in _REQUIRED:
        if key not in values:
            raise refuse(key, "is missing")
    if values["figure"] not in FIGURES:
        raise refuse("figure", f"must be one of {', '.join(FIGURES)}, not {values['figure']!r}")
    rows = values.get("rows", "variants")
    if rows not in ("variants", "tasks"):
        raise refuse("rows", f"must be variants or tasks, not {rows!r}")
    if ("variants" in values) == ("grid" in values):
        raise refuse("variants", "or `grid`: one of the two is needed, and not both")
    for key, entry in values.get("variants", {}).items():
        if not isinstance(entry, dict):
            raise refuse(f"variants.{key}", f"must be {{parameter: value, ...}}, not {entry!r}")
    for key, entry in values.get("grid", {}).items():
        if not isinstance(entry, list) or not entry:
            raise refuse(f"grid.{key}", f"must be a list of values, not {entry!r}")
    if values["figure"] == "lines" and not 1 <= len(values.get("grid", {})) <= 2:
        raise refuse("figure", "lines needs a `grid` of one or two parameters")
    if values["figure"] in ("bars", "lines") and "columns" not in values:
        raise refuse("columns", "is missing")
    if (values["figure"] == "claims") != ("claims" in values):
        raise refuse("claims", "and `figure: claims` belong together")
    for column in values.get("columns", ()):
        if column not in COLUMNS:
            raise refuse("columns", f"has `{column}`, which is none of {', '.join(COLUMNS)}")
    grid = {key: tuple(entry) for key, entry in values.get("grid", {}).items()}
    variants = values["variants"] if "variants" in values else _points(grid)
    claims = tuple(_claim(path, entry, variants) for entry in values.get("claims", ()))
    paper = path.with_name(values["paper"]) if "paper" in values else None
    if paper is not None and not paper.exists():
        raise refuse("paper", f"names {paper}, which is not there")
    return Study(
        name=path.stem,
        title=values["title"],
        reproduces=values["reproduces"],
        about=values["about"].strip(),
        tasks=tuple(values["tasks"]),
        method=values.get("method", "FISOR"),
        params=values.get("params", {}),
        variants=variants,
        grid=grid,
        rows=rows,
        columns=tuple(values.get("columns", ())),
        figure=values["figure"],
        paper=paper,
        claims=claims,
    )


def _points(grid: Mapping[str, tuple[Any, ...]]) -> dict[str, dict[str, Any]]:
    """Every combination, the last parameter fastest."""
    combinations = (
        dict(zip(grid, point, strict=True)) for point in itertools.product(*grid.values())
    )
    return {
        ", ".join(f"{key} = {shown_value(value)}" for key, value in point.items()): point
        for point in combinations
    }


def _claim(path: Path, entry: Any, variants: Mapping[str, Any]) -> Claim:
    from fisor.studies.claims import MEASURES  # it reads results, so it imports much

    if not isinstance(entry, dict) or set(entry) != set(Claim._fields):
        raise InputError(f"{path}: each of `claims` must have exactly {', '.join(Claim._fields)}")
    claim = Claim(**{key: str(value) for key, value in entry.items()})
    if claim.measure not in MEASURES:
        known = ", ".join(MEASURES)
        raise InputError(f"{path}: `{claim.measure}` is no measure of a claim; known: {known}")
    for variant in (claim.lower, claim.higher):
        if variant not in variants:
            known = ", ".join(variants)
            raise InputError(f"{path}: a claim names `{variant}`; the variants are: {known}")
    return claim
