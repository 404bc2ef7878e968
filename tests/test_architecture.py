"""The rooms of the package: which imports which, how large they are, what each stage needs."""

import ast
import json
import re
import shutil
import sys
from collections import Counter, defaultdict
from pathlib import Path

import networkx as nx
import pytest
from project import ROOT, TRAINING_STAGES, checked

from fisor.code import LEFT_OUT, closure
from fisor.methods import METHODS

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
FILES = sorted([*ROOT.glob("fisor/**/*.py"), *ROOT.glob("stages/*.py")])
TRAINING_PACKAGES = {"jax", "flax", "optax", "numpy", "pyarrow", "safetensors", "tqdm", "yaml"}
# All may import them; they import no subpackage.
LEAVES = {"errors", "outputs", "hardware", "code", "git"}
LARGEST_MODULE_LINES = 300
LARGEST_ROOM_SHARE = 0.13
LARGER_FOR_A_REASON = {"baselines", "envs"}  # the page says which


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """`fisor.data.parquet` lies in `data`; a stage in `stages`."""
    first, *others = module.split(".")
    return others[0] if first == "fisor" and others else first


MODULES = {module_of(path): path for path in FILES}


def imports() -> nx.DiGraph:
    """Module -> module, wherever in the file it is imported."""
    graph = nx.DiGraph()
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name for name in inside if name in MODULES] or [node.module]
            else:
                continue
            graph.add_edges_from((module, name) for name in names if name in MODULES)
    return graph


def arrows() -> dict[str, set[str]]:
    """Room -> the other rooms that it imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for module in MODULES:
        found[room_of(module)]
    for module, other in imports().edges:
        if room_of(module) != room_of(other):
            found[room_of(module)].add(room_of(other))
    return found


def test_no_imports_in_a_circle() -> None:
    """Neither modules nor rooms: each can be read after those that it imports."""
    assert nx.is_directed_acyclic_graph(imports())
    rooms = nx.DiGraph([(room, other) for room, others in arrows().items() for other in others])
    assert nx.is_directed_acyclic_graph(rooms)


def test_the_page_shows_the_rooms_and_arrows_as_they_are() -> None:
    """docs/architecture.md has a row for each room, with all rooms that it imports."""
    listed = {}
    for room, others in re.findall(r"^\| `([\w.]+)` \|.*\| ([^|]*) \|$", PAGE, re.MULTILINE):
        listed[room] = set(re.findall(r"`(\w+)`", others))
    found = arrows()
    assert not any(found[leaf] - LEAVES for leaf in LEAVES)
    rooms = found.keys() - LEAVES - {"fisor"}
    assert listed == {room: found[room] - LEAVES - {"fisor"} for room in rooms}


def test_modules_and_rooms_are_of_a_readable_size() -> None:
    """A module is a few screens; no room is a house of its own."""
    lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: n for module, n in lines.items() if n > LARGEST_MODULE_LINES} == {}
    rooms: Counter[str] = Counter()
    for module, count in lines.items():
        rooms[room_of(module)] += count
    large = {room for room, n in rooms.items() if n > LARGEST_ROOM_SHARE * sum(lines.values())}
    assert large <= LARGER_FOR_A_REASON
    for room in large:
        assert re.search(rf"`{room}` is larger", PAGE)


@pytest.mark.parametrize("stage", TRAINING_STAGES)
def test_training_needs_few_packages(stage: str) -> None:
    """A machine with a GPU and these packages is enough to train, whatever the method."""
    methods = [module for name, module in METHODS.items() if stage == "train_baseline"]
    reached = closure(f"stages.{stage}", *methods)
    assert reached.packages - set(sys.stdlib_module_names) <= TRAINING_PACKAGES


# What a stage computes with -----------------------------------------------------------------------


# Not installed on a machine that only trains; those of the simulators are not, either.
ELSEWHERE = "pydantic polars gymnasium dvc h5py matplotlib requests"
LOADED = """
import runpy, sys
blocked, *sys.argv = sys.argv[1:]
sys.modules.update(dict.fromkeys(blocked.split()))  # importing one raises ImportError
runpy.run_module(sys.argv[0], run_name="__main__")
print("loaded:", *(name for name in sys.modules if name.split(".")[0] in ("fisor", "stages")))
"""
TRANSITIONS = ("--transitions", "data/transitions/PointRobot.parquet")
STAGES = {
    "train_reward": (*TRANSITIONS, "--out", "out", "--log", "log"),
    "train_policy": (
        *("--method", "FISOR", *TRANSITIONS, "--feasibility", "data/feasibility/PointRobot"),
        *("--reward", "data/reward/PointRobot", "--out", "out", "--log", "log"),
    ),
    "evaluate": (
        *("--method", "FISOR", "--policy", "data/policy/PointRobot/FISOR"),
        *("--rollouts", "rollouts.parquet"),
    ),
}


@pytest.fixture(scope="module")
def project(first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in small, run once."""
    return shutil.copytree(first_run, tmp_path_factory.mktemp("architecture") / "project")


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_loads_is_what_dvc_watches(stage: str, project: Path) -> None:
    """All of the project's modules that a real run has loaded are in its file of stage `code`.

    But for the packages' own files, which hold no code but the name `load_policy`, and the table
    of methods, of which a change of one line would rerun every method. And training runs where the
    packages that only other stages need cannot be imported.
    """
    blocked = "" if stage == "evaluate" else ELSEWHERE
    options = (blocked, f"stages.{stage}", "--task", "PointRobot", *STAGES[stage])
    printed = checked(project, sys.executable, "-c", LOADED, *options)
    loaded = set(re.findall(r"^loaded: (.*)$", printed, re.MULTILINE)[0].split())
    file = "evaluate/FISOR" if stage == "evaluate" else stage
    watched = json.loads((project / f"data/code/{file}.json").read_text())["modules"]
    packages = {module_of(path) for path in FILES if path.name == "__init__.py"}
    assert loaded - packages - LEFT_OUT <= watched.keys()
    assert len(loaded & watched.keys()) > 10


def test_packages_own_files_hold_no_code() -> None:
    """Stage `code` leaves them out: a sentence each; the outermost imports when it is asked."""
    for path in FILES:
        if path.name == "__init__.py" and module_of(path) != "fisor":
            (docstring,) = ast.parse(path.read_text(encoding="utf-8")).body
            assert isinstance(docstring, ast.Expr), path


def test_benchmarks_start_where_only_training_runs() -> None:
    """`python -m benchmarks` measures a bare GPU machine: training's packages and pydantic do."""
    blocked = ELSEWHERE.replace("pydantic ", "")
    printed = checked(ROOT, sys.executable, "-c", LOADED, blocked, "benchmarks", "--help")
    assert "training,acting" in printed
