"""The browser of other tests reports what a page asks of a host, and what its scripts fail at."""

from pathlib import Path

import pytest
from browser import offline_browser


def test_a_page_of_its_own_passes(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p id=text></p><script>text.textContent = 'shown'</script>")
    with offline_browser() as opened:
        assert opened(page).text_content("#text") == "shown"


@pytest.mark.parametrize(
    ("html", "reported"),
    [
        ("<script src='https://example.org/library.js'></script>", "asked of a host"),
        ("<img src='http://example.org/picture.png'>", "asked of a host"),
        ("<script>missing()</script>", "errors in the browser's console"),
        ("<script>console.error('wrong')</script>", "errors in the browser's console"),
    ],
)
def test_what_a_page_does_wrong_is_reported(tmp_path: Path, html: str, reported: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(html)
    with pytest.raises(AssertionError, match=reported), offline_browser() as opened:
        opened(page)
