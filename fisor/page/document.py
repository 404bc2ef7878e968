"""A page from Markdown, with its pictures inside and charts at its end."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from fisor.page.rendering import MEDIA, data_uri, write


class Section(NamedTuple):
    """A part of the page that is no Markdown.

    Attributes:
        title: its heading.
        charts: label and Vega-Lite specification of each.
    """

    title: str
    charts: Sequence[dict[str, Any]]


def write_document(path: Path, text: str, sections: Sequence[Section] = ()) -> None:
    """Write a page; its contents are the headings of second rank.

    Args:
        path: the HTML file to make.
        text: Markdown with a heading of first rank; its pictures lie beside `path`. HTML in it is
            shown as text.
        sections: with charts, after it.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    contents: list[tuple[str, str]] = []
    title = path.stem
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            title = _plain(inline)
        if token.type == "heading_open" and token.tag == "h2":
            name = _plain(inline)
            token.attrSet("id", f"part-{len(contents)}")
            contents.append((f"part-{len(contents)}", name))
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                _take_in(child, path.parent)
    # The page's own heading stands above.
    first = next((i for i, t in enumerate(tokens) if t.type == "heading_open"), None)
    if first is not None and tokens[first].tag == "h1":
        del tokens[first : first + 3]
    body = parser.renderer.render(tokens, parser.options, {})
    body = body.replace("<table>", '<div class="scroll"><table>').replace(
        "</table>", "</table></div>"
    )
    contents += [(f"charts-{i}", section.title) for i, section in enumerate(sections)]
    write(
        path,
        "document.html.j2",
        charts=bool(sections),
        title=title,
        sections=contents,
        body=Markup(body),
        chart_sections=sections,
    )


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


def _take_in(image: Token, folder: Path) -> None:
    """Put a picture's bytes in the place of its path."""
    source = str(image.attrGet("src"))
    file = folder / source
    if Path(source).suffix in MEDIA and file.is_file():
        image.attrSet("src", data_uri(file))
