"""Parts of pages: what is embedded, Markdown, clips, provenance."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from playwright.sync_api import Page
from project import ROOT, edit_yaml
from simulated import task_of
from test_params import APPENDIX_D3, TABLE_5

from fisor.page import clips as clips_module
from fisor.page.clips import Clips
from fisor.page.document import Section, write_document
from fisor.page.motion import encoded
from fisor.page.provenance import different
from fisor.page.rendering import embedded
from fisor.report.results import Results


def test_embedded_data_cannot_end_its_script() -> None:
    text = embedded({"name": "</script><script>alert(1)</script>", "value": float("nan")})
    assert "<" not in text
    assert json.loads(text) == {"name": "</script><script>alert(1)</script>", "value": None}


def test_numbers_come_back_rounded_and_clipped() -> None:
    text = encoded(np.array([1.4, -2.6, 1e9, -1e9]), "<i2")
    found = np.frombuffer(base64.b64decode(text), "<i2")
    np.testing.assert_array_equal(found, [1, -3, 32767, -32768])


def test_a_document_holds_its_pictures_and_no_foreign_html(
    tmp_path: Path, open_offline: Callable[[Path], Page]
) -> None:
    """Markdown with a table, a picture and HTML: one file, the HTML as text, links to its parts."""
    Image.new("RGB", (3, 2), "red").save(tmp_path / "a.png")
    text = (
        "# Title\n\n## Part one\n\n![A picture](a.png)\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n"
        "<script>document.title = 'taken over'</script>\n\n## Part two\n"
    )
    write_document(tmp_path / "page.html", text)
    (tmp_path / "a.png").unlink()
    page = open_offline(tmp_path / "page.html")
    assert page.title() == "Title"
    assert page.locator("h1").all_text_contents() == ["Title"]
    assert page.locator("img").evaluate("image => image.naturalWidth") == 3
    assert page.locator("table td").all_text_contents() == ["1", "2"]
    assert page.locator("nav a").all_text_contents() == ["Part one", "Part two"]
    assert "taken over" in page.locator("main").inner_text()


def test_a_document_without_charts_carries_no_library(tmp_path: Path) -> None:
    write_document(tmp_path / "plain.html", "# T\n")
    assert (tmp_path / "plain.html").stat().st_size < 50_000
    write_document(tmp_path / "charts.html", "# T\n", [Section("Charts", [])])
    assert (tmp_path / "charts.html").stat().st_size > 500_000


def recorded(folder: Path, methods: list[str]) -> Results:
    """A clip of each method, of 3000 bytes; of the last one a renderer is missing."""
    folders = {method: folder / method for method in methods}
    for method, place in folders.items():
        place.mkdir()
        (place / "median.webp").write_bytes(bytes(3000))
        clip = {"which": "median", "file": "median.webp", "normalised_cost": 0.0}
        recording = {"clips": [clip]} if method != methods[-1] else {"clips": [], "missing": "M"}
        (place / "recording.json").write_text(json.dumps(recording))
    rollouts = {method: folder / f"{method}.parquet" for method in methods}
    for path in rollouts.values():
        pl.DataFrame({"seed": [0]}).write_parquet(path)
    nowhere = folder / "nowhere"
    return Results(
        task_of("BallRun"), nowhere, nowhere, nowhere, nowhere, rollouts, folders, [nowhere]
    )


def test_clips_are_taken_until_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two clips of 4 kB each one fits into 6; the other and the missing renderer are named."""
    monkeypatch.setattr(clips_module, "MOST_BYTES", 6000)
    clips = Clips()
    found = clips.of_task(recorded(tmp_path, ["A", "B", "C"]))
    assert [clip["method"] for clip in found["clips"]] == ["A"]
    assert clips.left_out == ["BallRun B (median)"]
    assert found["missing"] == ["M"]


def test_parameters_that_differ_from_table_5(tmp_path: Path) -> None:
    """On a task without overrides: of FISOR only what was changed, with the paper's value."""
    for name in ("params.yaml", "tasks.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    assert different(tmp_path, "BallRun", "FISOR", dense_violation=False) == ""
    edit_yaml(tmp_path / "params.yaml", {"tau": 0.8, "M": 1})
    found = different(tmp_path, "BallRun", "FISOR", dense_violation=False)
    expected = "feasibility: tau 0.8 (0.9); reward: tau 0.8 (0.9); labels: M 1 (25)"
    assert found == expected
    # M has no effect where h comes from the dataset.
    dense = different(tmp_path, "BallRun", "FISOR", dense_violation=True)
    assert dense == expected.removesuffix("; labels: M 1 (25)")


def test_the_reference_data_is_table_5() -> None:
    """Against the values that test_params.py holds params.yaml to."""
    rows = pl.read_csv(ROOT / "fisor/report/paper_table5.csv", comment_prefix="#")
    values = dict(rows.select("parameter", "value").rows())
    assert values == {**TABLE_5, **APPENDIX_D3}
