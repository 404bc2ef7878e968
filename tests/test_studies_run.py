"""A study on the project in small: run, failed, gone on with, compared."""

import re
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from project import ROOT, checked, edit_yaml, run, small_copy

from fisor.compare.revision import Revision

pytestmark = pytest.mark.slow

STUDY = """
title: A small sweep
reproduces: Figure 4
about: One of the three cannot run.
tasks: [PointRobot]
grid:
  N: [2, 0, 3]
columns: [normalised_reward, mean_intersection_over_union]
figure: lines
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project in small with a study, committed; nothing has run."""
    folder = small_copy(tmp_path_factory.mktemp("studies") / "project")
    shutil.copytree(ROOT / "studies", folder / "studies")
    (folder / "studies/small.yaml").write_text(STUDY)
    edit_yaml(folder / "tasks.yaml", {"PointRobot": {"overrides": {"evaluation": {"episodes": 6}}}})
    checked(folder, "git", "add", "--all")
    checked(folder, "git", "commit", "--quiet", "--message", "A study")
    return folder


def test_a_study_runs_fails_goes_on_and_is_compared(project: Path) -> None:
    """One command runs what can run and says what failed; another study takes over what is done."""
    command = (sys.executable, "-m", "fisor.studies", "studies/small.yaml")
    first = run(project, *command)
    assert first.returncode == 1
    for n in (2, 3):
        assert f"small-PointRobot-N={n}: done" in first.stderr
    assert "small-PointRobot-N=0: FAILED" in first.stderr
    assert "small-PointRobot-N=3 (3 of 3): evaluate@PointRobot-FISOR\n" in first.stderr
    assert re.search(r"^2 of 3 in \d+ min, about \d+ min left$", first.stderr, re.MULTILINE)
    assert "`N` must be greater than or equal to 1, not 0" in first.stderr  # of the log
    page = project / "reports/studies/small"
    assert "python -m fisor.studies studies/small.yaml" in (page / "README.md").read_text()
    assert "data:image/png;base64" in (page / "page.html").read_text()
    assert (page / "figure.png").read_bytes().startswith(b"\x89PNG")
    table = pl.read_csv(page / "table.csv")
    assert table.height == 3 * 2
    assert table.filter(pl.col("mean").is_not_null())["variant"].unique().sort().to_list() == [
        "N = 2",
        "N = 3",
    ]

    # Again, without those that fail: nothing is left to run, even under another study's name and
    # after a commit of the pages.
    checked(project, "git", "add", "--all")
    checked(project, "git", "commit", "--quiet", "--message", "The study's page")
    (project / "studies/other.yaml").write_text(STUDY.replace("2, 0, 3", "2, 3"))
    again = run(project, sys.executable, "-m", "fisor.studies", "studies/other.yaml")
    assert again.returncode == 0
    assert "2 of 2 experiments are there" in again.stderr
    assert "`small-PointRobot-N=3`" in (project / "reports/studies/other/README.md").read_text()

    checked(
        *(project, sys.executable, "-m", "fisor.compare"),
        *("small-PointRobot-N=2", "small-PointRobot-N=3", "--out", "compared"),
    )
    text = (project / "compared/comparison.md").read_text()
    assert "| `N` | 2 | 3 |" in text
    assert "`tau`" not in text
    for picture in ("curves", "feasible_regions"):
        file = project / "compared/PointRobot" / f"{picture}.png"
        assert file.read_bytes().startswith(b"\x89PNG")


METHODS = """
title: Methods
reproduces: Table 1
about: A baseline with a hyphen in its name.
tasks: [PointRobot]
variants:
  FISOR: {}
  BC-again, 8 rows: {method: BC-again, methods.BC-again.train.batch_size: 8}
columns: [normalised_reward, violating_steps]
figure: reward_against_cost
"""


def test_a_study_of_methods_trains_each_once(project: Path) -> None:
    """A baseline's experiment runs its own stages and the report; a hyphen in a key is no matter.

    The critics are FISOR's of the experiment before; its policy and evaluation are not run.
    """
    methods, first = project / "fisor/methods.py", "METHODS = {\n"
    line = '    "BC-again": "fisor.baselines.bc",\n'
    methods.write_text(methods.read_text().replace(first, first + line))
    entry = yaml.safe_load((project / "params.yaml").read_text())["methods"]["BC"]
    edit_yaml(project / "params.yaml", {"methods": {"BC-again": entry}})
    (project / "studies/methods.yaml").write_text(METHODS)
    checked(project, "git", "add", "--all")
    checked(project, "git", "commit", "--quiet", "--message", "A study of methods")
    checked(project, sys.executable, "-m", "fisor.studies", "studies/methods.yaml")
    log = project / ".cache/studies/methods-PointRobot-method=BC_again-batch_size=8.log"
    ran = re.findall(r"Running stage '([^']+)'", log.read_text())
    own = {f"{stage}_baseline@PointRobot-BC-again" for stage in ("train", "evaluate", "record")}
    assert sorted(ran) == sorted(own | {"code", "code_baseline@BC-again", "report"})
    page = (project / "reports/studies/methods/README.md").read_text()
    assert "methods.BC-again.train.batch_size = 8" in page
    table = pl.read_csv(project / "reports/studies/methods/table.csv")
    assert table["state"].to_list() == ["done"] * 4
    with Revision(project, "methods-PointRobot-method=BC_again-batch_size=8") as revision:
        assert revision.params["methods"]["BC-again"]["train"]["batch_size"] == 8
        assert "batch_size=8" not in revision.params["methods"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("studies/nowhere.yaml",), "studies/nowhere.yaml: cannot be read"),
        (("studies/figure4.yaml", "-S", "tau"), "-S tau: must be KEY=VALUE"),
        (("studies/figure4.yaml", "-S", "taw=1"), "params.yaml has no `taw`"),
        (("studies/figure6.yaml", "--task", "BallRun"), "needs a true feasible region"),
        (("studies/figure4.yaml", "--task", "BallRum"), "BallRum"),
    ],
)
def test_bad_input_ends_with_a_sentence(
    project: Path, arguments: tuple[str, ...], message: str
) -> None:
    """No traceback, nothing run."""
    result = run(project, sys.executable, "-m", "fisor.studies", *arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
