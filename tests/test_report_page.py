"""The pipeline's report.html, in a real browser without a network."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

MOST_BYTES = 8_000_000
WIDTHS_PIXELS = (1400, 400)


@pytest.fixture
def page(pipeline: Path, open_offline: Callable[[Path], Page]) -> Page:
    """The page; the test fails if it asks a host for anything or a script fails."""
    return open_offline(pipeline / "reports/report.html")


def test_it_is_one_small_file(pipeline: Path) -> None:
    assert (pipeline / "reports/report.html").stat().st_size < MOST_BYTES


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_part_is_shown(page: Page, scheme: str) -> None:
    """Sections, and every chart when its place comes into view; nothing wider than the window."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    for width in WIDTHS_PIXELS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    sections = page.locator("main section > h2").all_text_contents()
    assert sections[:2] == ["Results", "PointRobot"]
    assert sections[-1] == "Provenance"
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    charts = page.locator(".vega")
    for chart in charts.all():
        chart.scroll_into_view_if_needed()
        chart.locator("svg").wait_for()
    assert charts.count() >= 8
    assert "Table 5" in page.locator("#provenance").inner_text()


def test_a_table_is_sorted_by_keyboard(page: Page) -> None:
    """Enter on a heading sorts by its numbers, the largest first; again, the smallest first."""
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    table = page.locator("#task-PointRobot table.sortable").first
    cells = table.locator("tbody td:nth-child(2)")
    table.locator("thead button").nth(1).focus()
    for order in ("descending", "ascending"):
        page.keyboard.press("Enter")
        assert table.locator("thead th").nth(1).get_attribute("aria-sort") == order
        values = [float(cell.get_attribute("data-sort") or "nan") for cell in cells.all()]
        assert values == sorted(values, reverse=order == "descending")


def test_the_robots_move(page: Page) -> None:
    """The slider moves them by keyboard, and Play on its own."""
    widget = page.locator(".animation")
    said, slider = widget.locator("output"), widget.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    assert said.inner_text().startswith("step 0: ")
    before = widget.locator("canvas").first.evaluate("canvas => canvas.toDataURL()")
    page.keyboard.press("End")
    assert " 0 running" in said.inner_text()
    assert widget.locator("canvas").first.evaluate("canvas => canvas.toDataURL()") != before
    page.keyboard.press("Home")
    widget.locator("button").click()
    page.wait_for_function(
        "!document.querySelector('.animation output').textContent.startsWith('step 0:')"
    )


def test_the_region_follows_its_sliders(page: Page) -> None:
    """Of a slow robot and of a fast one the infeasible sets differ."""
    widget = page.locator(".region")
    pictures = []
    for key in ("Home", "End"):
        widget.locator("input[type=range]").first.focus()
        page.keyboard.press(key)
        pictures.append(widget.locator("canvas").evaluate("canvas => canvas.toDataURL()"))
        assert "Intersection over union" in widget.inner_text()
    assert pictures[0] != pictures[1]
