"""The code and the packages that a part of the project computes with, found by its imports.

Code is compared by its syntax tree without docstrings, so that a comment, a docstring or a blank
line makes no result stale.
"""

import ast
import hashlib
import re
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

PACKAGES = "fisor", "stages"
# Left out: the table of methods, which names all methods although a stage runs only one; and this
# module, which decides whether a training may be resumed, but does not affect its result.
LEFT_OUT = {"fisor.methods", "fisor.code"}
# Binary packages that do the computing for a package that is imported.
COMPUTES_FOR = {
    "jax": ("jaxlib",),
    "safety_gymnasium": ("mujoco",),
    "bullet_safety_gym": ("pybullet",),
    "metadrive": ("panda3d",),
}
WITHOUT_INFLUENCE = {"tqdm"}  # on any result


class Closure(NamedTuple):
    """Everything that importing a module can run.

    Attributes:
        modules: the project's modules: name -> file.
        packages: top-level names of other packages.
    """

    modules: dict[str, Path]
    packages: set[str]


def closure(*names: str, root: Path | None = None) -> Closure:
    """Modules and packages that importing some of the project's modules can run.

    Imports inside functions count. So does a string that is the name of one of the project's
    modules, since suites are imported by name when they are needed. Packages' `__init__` files do
    not count, since they contain no code (`fisor/__init__.py` imports on request), nor do the
    modules in `LEFT_OUT`.

    Args:
        names: names of the modules.
        root: folder of the packages; by default the parent folder of `fisor`.
    """
    root = root or Path(__file__).parent.parent
    modules: dict[str, Path] = {}
    packages: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name.split(".")[0] not in PACKAGES:
            packages.add(name.split(".")[0])
            continue
        path = _file(root, name)
        if path is not None and name not in {*modules, *LEFT_OUT}:
            modules[name] = path
            source = _source(path)
            waiting += [*source.imports, *(text for text in source.texts if _file(root, text))]
    return Closure(dict(sorted(modules.items())), packages)


def _file(root: Path, name: str) -> Path | None:
    """The file of one of the project's modules; None for a package, or what is no module."""
    parts = name.split(".")
    if parts[0] not in PACKAGES or not all(part.isidentifier() for part in parts):
        return None
    path = root.joinpath(*parts).with_suffix(".py")
    return path if path.is_file() else None


class _Source(NamedTuple):
    imports: tuple[str, ...]  # dotted names; of `from a import b`, both a and a.b
    texts: tuple[str, ...]
    hash: str


@cache
def _source(path: Path) -> _Source:
    """Imports, strings and hash of a module's file, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports, texts = [], []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[ast.get_docstring(node, clean=False) is not None :]
        elif isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return _Source(tuple(imports), tuple(texts), digest)


def code_hash(path: Path) -> str:
    """SHA-256 of a module's syntax tree without docstrings."""
    return _source(path).hash


def closure_hash(*names: str) -> str:
    """SHA-256 of the code of all modules in the closure of some of the project's modules."""
    hashes = [f"{name} {code_hash(path)}" for name, path in closure(*names).modules.items()]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def distributions(packages: set[str]) -> set[str]:
    """The distributions of imported packages, including those that compute for them.

    Modules of the standard library have none.
    """
    found = set()
    for package in packages - WITHOUT_INFLUENCE:
        names = (*_distributions().get(package, ()), *COMPUTES_FOR.get(package, ()))
        found |= {re.sub("[-_.]+", "-", name).lower() for name in names}
    return found
