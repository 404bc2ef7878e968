"""`dvc plots` without a network: the project's page and the script that stage `vega` writes."""

import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from browser import offline_browser
from playwright.sync_api import Page, expect
from project import ROOT, checked, commit, make_repository

CURVES = {"HEAD": "update,mean\n0,1\n1000,0.5\n", "workspace": "update,mean\n0,1\n1000,0.2\n"}


@pytest.fixture
def plots(tmp_path: Path) -> Path:
    """A page of `dvc plots diff`: one curve of two revisions, under the project's DVC settings."""
    folder = tmp_path / "project"
    folder.mkdir()
    make_repository(folder)
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
    plotted = {"plots": [{"curve.csv": {"x": "update", "y": "mean"}}]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(plotted))
    (folder / "curve.csv").write_text(CURVES["HEAD"])
    commit(folder, "A curve")
    (folder / "curve.csv").write_text(CURVES["workspace"])
    checked(folder, "dvc", "plots", "diff", "HEAD", "workspace")
    return folder / "dvc_plots/index.html"


def test_plots_need_no_network(plots: Path, open_offline: Callable[[Path], Page]) -> None:
    """With what stage `vega` writes where dvc.yaml says, both revisions' curves are drawn."""
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["vega"]
    (written,) = stage["outs"]
    command = shlex.split(stage["cmd"].replace(written, str(plots.parents[1] / written)))
    checked(ROOT, sys.executable, *command[1:])
    page = open_offline(plots)
    lines = page.locator("svg.marks .mark-line.role-mark path")
    expect(lines.first).to_be_visible()
    shapes = {line.get_attribute("d") for line in lines.all()}  # DVC also draws each one smoothed
    assert len(shapes - {None, ""}) == len(CURVES)
    for revision in CURVES:
        expect(page.get_by_text(revision, exact=True)).to_be_visible()
    expect(page.locator("#missing")).to_be_hidden()


def test_without_the_script_the_page_says_what_writes_it(plots: Path) -> None:
    """Before stage `vega` has run, DVC's own scripts are asked of a host; the page says why."""

    def look() -> None:
        with offline_browser() as opened:
            missing = opened(plots).locator("#missing")
            expect(missing).to_be_visible()
            expect(missing).to_contain_text("dvc repro vega")

    with pytest.raises(AssertionError, match="asked of a host"):
        look()
