"""What a piece of the project computes with: the code that it imports, and the packages.

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
# Left out: the table of methods, which names all of them where a stage runs one; and this module,
# which decides whether a training may go on, but on no result.
LEFT_OUT = {"fisor.methods", "fisor.code"}
# Binaries that do the computing for a package which is imported in their place.
COMPUTES_FOR = {
    "jax": ("jaxlib",),
    "safety_gymnasium": ("mujoco",),
    "bullet_safety_gym": ("pybullet",),
    "metadrive": ("panda3d",),
}
WITHOUT_INFLUENCE = {"tqdm"}  # on any result


class Closure(NamedTuple):
    """All that importing a module can run.

    Attributes:
        modules: of the project, by name: the file of each.
        packages: of others, the top-level names.
    """

    modules: dict[str, Path]
    packages: set[str]


def closure(*names: str, root: Path | None = None) -> Closure:
    """Modules and packages that importing some of the project's modules can run.

    Imports inside functions count. So does a text that is the name of one of the project's modules,
    since that is how suites are imported when they are needed. A package's `__init__` is no part of
    it: it holds no code here (`fisor/__init__.py` imports when it is asked). Nor is `LEFT_OUT`.

    Args:
        names: of the modules.
        root: folder of the packages; by default the one that this module lies in.
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
    """What matters of a module's file, docstrings left out."""
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
    """The names under which imported packages are installed, those that compute for them included.

    The standard library has none.
    """
    found = set()
    for package in packages - WITHOUT_INFLUENCE:
        names = (*_distributions().get(package, ()), *COMPUTES_FOR.get(package, ()))
        found |= {re.sub("[-_.]+", "-", name).lower() for name in names}
    return found
