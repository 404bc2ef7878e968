"""Studies: their files, the experiments that they ask for, what makes two of them the same."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import PACKAGES, ROOT, checked, edit_yaml
from tqdm import tqdm

from fisor.config.files import check
from fisor.errors import InputError
from fisor.methods import BASELINE_SCHEMAS
from fisor.studies import running
from fisor.studies.process import Stages, run_module
from fisor.studies.study import Experiment, Study, load_study, shared_changes

STUDIES = sorted((ROOT / "studies").glob("*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_asks_for_experiments_that_can_run(path: Path, tmp_path: Path) -> None:
    """Each file of studies/ is right, and every parameter that it changes is there."""
    experiments = load_study(path).experiments((), {})
    assert experiments
    for experiment in experiments:
        files = running.changed_yaml(ROOT, experiment)
        for name, values in files.items():
            (tmp_path / name).write_text(yaml.safe_dump(values))
        params = check(BASELINE_SCHEMAS, tmp_path / "params.yaml", tmp_path / "tasks.yaml")
        assert params.run == (experiment.task,)
        assert (*params.policies, *params.baselines) == (experiment.method,)


def test_a_grid_is_every_combination_named_after_its_changes(study: Callable[..., Study]) -> None:
    """Names say study, task and changes; the setting has the method and the common ones, too."""
    experiments = study(params={"seeds": 5}).experiments((), {})
    assert [e.name for e in experiments] == [
        f"plain-PointRobot-tau={tau}-N={n}" for tau, n in itertools.product((0.8, 0.9), (1, 16))
    ]
    assert experiments[1].changes == {
        "seeds": 5, "tau": 0.8, "N": 16, "run": ["PointRobot"], "policies": ["FISOR"],
        "baselines": [], "distilled": [], "record": False,
    }  # fmt: skip
    assert experiments[1].variant == "tau = 0.8, N = 16"


def test_tasks_and_changes_of_the_command_line_win_and_stand_in_the_names(
    study: Callable[..., Study],
) -> None:
    """`--task BallRun -S seeds=1` goes before the study's own."""
    (first, *_) = study(params={"seeds": 5}).experiments(("BallRun",), {"seeds": 1})
    assert first.name == "plain-BallRun-tau=0.8-N=1-seeds=1"
    assert first.changes["seeds"] == 1
    assert first.changes["run"] == ["BallRun"]


def test_what_all_experiments_change_is_told_apart(study: Callable[..., Study]) -> None:
    """Shared are keys with one value in all: not `run` of two tasks, nor what one variant has.

    Oracle: written out by hand; the second variant sets M to what the first one leaves alone.
    """
    variants = {"plain": {}, "other": {"M": 1}}
    made = study(grid=None, variants=variants, figure="bars", params={"seeds": 5})
    found = shared_changes(made.experiments(("PointRobot", "BallRun"), {"tau": 0.8}))
    lists = {"policies": ["FISOR"], "baselines": [], "distilled": []}
    assert found == {"seeds": 5, "tau": 0.8, **lists, "record": False}


def test_a_variant_may_name_its_method(study: Callable[..., Study]) -> None:
    """`method` is no parameter: it is what runs, and one that changes nothing is `default`."""
    variants = {"FISOR": {}, "BC": {"method": "BC"}, "odd": {"run_of/it": "a..b c"}}
    plain, cloning, odd = study(grid=None, variants=variants, figure="bars").experiments((), {})
    assert plain.name == "plain-PointRobot-default"
    assert cloning.name == "plain-PointRobot-method=BC"
    assert cloning.changes == {
        "run": ["PointRobot"],
        "policies": [],
        "baselines": ["BC"],
        "distilled": [],
        "record": False,
    }
    assert plain.changes == {
        "run": ["PointRobot"],
        "policies": ["FISOR"],
        "baselines": [],
        "distilled": [],
        "record": False,
    }
    one_step = {"of one pass": {"method": "FISOR-OneStep"}}
    (quick,) = study(grid=None, variants=one_step, figure="bars").experiments((), {})
    lists = [quick.changes[name] for name in ("policies", "baselines", "distilled")]
    assert lists == [["FISOR"], [], ["FISOR"]]
    # Letters and dots that Git refuses in a name are gone.
    assert odd.name == "plain-PointRobot-run_of_it=a_b_c"
    checked(ROOT, "git", "check-ref-format", f"refs/exps/{odd.name}")


REFUSED = {
    "unknown": ({"colour": "red"}, "unknown key `colour`"),
    "missing": ({"title": None}, "`title` is missing"),
    "type": ({"tasks": "PointRobot"}, "`tasks` must be a valid array"),
    "figure": ({"figure": "pie"}, "`figure` must be 'bars', 'lines'"),
    "column": ({"columns": ["reward"]}, "`columns` has `reward`"),
    "both": ({"variants": {"FISOR": {}}}, "one of the two is needed"),
    "grid": ({"grid": {"tau": 0.8}}, "`grid.tau` must be a valid array"),
    "long grid": ({"grid": {"tau": [1], "N": [1], "T": [1]}}, "a `grid` of one or two"),
    "paper": ({"paper": "nowhere.csv"}, "which is not there"),
    "only_safe": ({"only_safe": "FISOR"}, "`only_safe` names `FISOR`"),
    "no cost": (
        {"figure": "reward_against_cost", "columns": ["normalised_reward"]},
        "`normalised_cost` or `violating_steps` among `columns`",
    ),
    "claim": ({"figure": "claims"}, "belong together"),
    "measure": (
        {"figure": "claims", "claims": [dict(claim="x", measure="y", lower="a", higher="b")]},
        "`y` is no measure",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_study_is_refused_by_key(study: Callable[..., Study], name: str) -> None:
    """The message names the file and the key."""
    changes, message = REFUSED[name]
    with pytest.raises(InputError, match=f"plain.yaml: .*{message}"):
        study(**changes)


def test_two_experiments_of_one_name_are_refused(study: Callable[..., Study]) -> None:
    """DVC would take the second for the first."""
    twice = study(grid=None, variants={"a": {"N": 1}, "b": {"N": 1}}, figure="bars")
    with pytest.raises(InputError, match="two experiments have this name"):
        twice.experiments((), {})


def test_many_changes_of_the_command_line_stand_in_the_name_by_a_hash(
    study: Callable[..., Study],
) -> None:
    """A name stays short enough for Git, says how many changes, and tells other values apart."""
    many = {f"parameter_of_a_long_name_{number}": number for number in range(12)}
    names = [e.name for e in study().experiments((), many)]
    assert names[0].startswith("plain-PointRobot-tau=0.8-N=1-12_changes_")
    assert len(set(names)) == 4
    others = [e.name for e in study().experiments((), {**many, "parameter_of_a_long_name_3": 4})]
    assert not set(names) & set(others)


def test_many_changes_of_a_variant_stand_in_the_name_by_a_hash(study: Callable[..., Study]) -> None:
    """So do those of variants, which other values tell apart."""
    variants = {
        letter: {f"parameter_of_a_long_name_{number}": value for number in range(12)}
        for letter, value in (("a", 1), ("b", 2))
    }
    names = [e.name for e in study(grid=None, variants=variants, figure="bars").experiments((), {})]
    assert all(name.startswith("plain-PointRobot-12_changes_") for name in names)
    assert len(set(names)) == 2


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that a setting is made of, in Git; nothing has run."""
    folder = tmp_path_factory.mktemp("repository")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", "tasks.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    commit(folder, "First")
    return folder


def commit(folder: Path, message: str) -> str:
    """Commit everything; returns the commit."""
    if not (folder / ".git").exists():
        checked(folder, "git", "init", "--quiet")
        checked(folder, "git", "config", "user.email", "tests@example.com")
        checked(folder, "git", "config", "user.name", "tests")
    checked(folder, "git", "add", "--all")
    checked(folder, "git", "commit", "--quiet", "--message", message)
    return checked(folder, "git", "rev-parse", "HEAD").strip()


def experiment(**changes: Any) -> Experiment:
    """An experiment on PointRobot with these changes."""
    runs = {"run": ["PointRobot"], "policies": ["FISOR"], "baselines": [], "record": False}
    return Experiment("plain", "PointRobot", "FISOR", "plain", runs | changes)


def lock_of(repository: Path, made: Experiment) -> dict[str, Any]:
    """dvc.lock as an experiment leaves it: what its stages compute with, and their parameters."""
    code = running.code_now(repository, [made.method])
    params = running.changed_yaml(repository, made)["params.yaml"]

    def stage(name: str, *keys: str) -> dict[str, Any]:
        path = f"data/code/{name}.json"
        used = {"params.yaml": {key: params[key] for key in keys}}
        return {"deps": [{"path": path, "md5": code[path]}], "params": used}

    # Left over from another run, with other code: no matter of this experiment.
    leftover = {"path": "data/code/acquire.json", "md5": "0" * 32}
    return {
        "stages": {
            "acquire@PointRobot-all": stage("acquire"),
            "train_reward@PointRobot": stage("train_reward", "tau", "hidden_units"),
            "train_policy@PointRobot-FISOR": stage("train_policy", "T"),
            "evaluate@PointRobot-FISOR": stage("evaluate/FISOR", "N"),
            "report": stage("report", "run", "policies", "baselines"),
            "acquire@BallRun-all": {"deps": [leftover]},
        }
    }


def test_an_experiment_is_known_by_its_setting(repository: Path) -> None:
    """A commit under an experiment's reference counts for equal code and parameters alone.

    The commit stands for what DVC leaves: its dvc.lock. What no stage sees is no difference.
    """
    head = checked(repository, "git", "rev-parse", "HEAD").strip()
    (repository / "dvc.lock").write_text(yaml.safe_dump(lock_of(repository, experiment(tau=0.8))))
    made = commit(repository, "An experiment")
    checked(repository, "git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/other-name", made)
    checked(repository, "git", "reset", "--quiet", "--hard", head)

    def found(**changes: Any) -> bool:
        return running.find_done(repository, [experiment(**changes)]) == {"plain": made}

    try:
        assert found(tau=0.8)
        assert not found(tau=0.8, N=4)
        assert not found(tau=0.85)
        assert not found()
        # Neither another task's entry, a mirror nor a comment.
        edit_yaml(repository / "tasks.yaml", {"BallRun": {"horizon_steps": 7}})
        edit_yaml(repository / "params.yaml", {"dataset_hosts": ["https://mirror.example.org/"]})
        with (repository / "fisor/critics/losses.py").open("a") as file:
            file.write("# a comment\n")
        assert found(tau=0.8)
        for module in ("fisor/critics/losses.py", "fisor/collect/pid.py"):
            path = repository / module
            text = path.read_text()
            path.write_text(f"{text}changed = True\n")
            assert not found(tau=0.8)
            path.write_text(text)
    finally:
        checked(repository, "git", "reset", "--quiet", "--hard", head)


def test_a_parameter_that_is_not_there_is_refused(repository: Path) -> None:
    """DVC would add it to params.yaml, and stage `code` fail on it."""
    with pytest.raises(InputError, match=r"params.yaml has no `taw`"):
        running.changed_yaml(repository, experiment(taw=0.8))
    episodes = {"tasks.yaml:PointRobot.overrides.evaluation.episodes": 3}
    files = running.changed_yaml(repository, experiment(**episodes))
    assert files["tasks.yaml"]["PointRobot"]["overrides"]["evaluation"]["episodes"] == 3


PRINTS = """
import sys, time
print("Running stage 'first':")
time.sleep(3)
print("Running stage 'second':")
sys.exit(sys.argv[1])
"""


def test_the_running_stage_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While a program runs, one line for each stage that it names; then the end of its log."""
    (tmp_path / "prints.py").write_text(PRINTS)
    log = tmp_path / "logs/prints.log"
    with tqdm(total=1, disable=True) as bar:
        shown = Stages(bar, "an experiment", log)
        failure = run_module(tmp_path, log, "prints", "it broke", watch=shown)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2:] == ["an experiment: first", "an experiment: second"]
    assert failure == (log, "Running stage 'first':\nRunning stage 'second':\nit broke")
