"""Templates to one HTML file that asks no host for anything."""

import base64
import json
import math
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from altair import SCHEMA_VERSION
from markupsafe import Markup

from fisor.outputs import atomic_file

TEMPLATES = resources.files("fisor.page") / "templates"
MEDIA = {".png": "image/png", ".webp": "image/webp"}


def write(path: Path, template: str, *, charts: bool = True, **context: Any) -> None:
    """Write a page.

    Args:
        path: the HTML file to make.
        template: its name, of those in `templates/`.
        charts: whether it has charts, and so needs Vega.
        context: what the template shows; text is escaped.
    """
    page = _environment().get_template(template)
    scripts = "".join(
        (TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.js", "plane.js")
    )
    text = page.render(
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(scripts),
        vega=Markup(_vega()) if charts else None,
        **context,
    )
    with atomic_file(path) as file:
        file.write_text(text, encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fisor.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = embedded
    return environment


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed."""
    version = ".".join(SCHEMA_VERSION.lstrip("v").split(".")[:2])
    bundle = vl_convert.javascript_bundle(None, version)  # type: ignore[arg-type] # the stub is wrong
    return bundle.replace("</script", "<\\/script")


def embedded(data: Any) -> Markup:
    """JSON for a script element, which `<` could end."""
    text = json.dumps(_without_nan(data), separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _without_nan(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def data_uri(path: Path) -> str:
    """A picture's bytes as an address, so that the page holds it."""
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{MEDIA[path.suffix]};base64,{content}"
