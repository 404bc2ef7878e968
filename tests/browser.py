"""Pages opened in the machine's own Chromium with the network off."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOCAL = ("file:", "data:", "blob:", "about:")  # URLs that need no host


@contextmanager
def offline_browser() -> Iterator[Callable[[Path], Page]]:
    """A function (path of a page) -> the page as a browser without network shows it.

    At its end, the block fails if a page asked for something from a host or if its scripts failed.
    Skips the test where there is no Chromium.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"opens pages in a browser, and PATH has none of: {', '.join(PROGRAMS)}")
    asked: list[str] = []
    errors: list[str] = []
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs rights that containers do not give.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(offline=True)
        context.on("request", lambda request: asked.append(request.url))
        context.on("console", lambda line: line.type == "error" and errors.append(line.text))
        context.on("weberror", lambda error: errors.append(str(error.error)))

        def opened(path: Path) -> Page:
            page = context.new_page()
            page.goto(path.absolute().as_uri(), wait_until="load")
            return page

        yield opened
        browser.close()
    assert [url for url in asked if not url.startswith(LOCAL)] == [], "asked of a host"
    assert errors == [], "errors in the browser's console"
