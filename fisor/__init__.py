"""FISOR: safe offline reinforcement learning with hard constraints (Zheng et al., ICLR 2024)."""

import importlib
from typing import Any

__all__ = ["load_policy"]


def __getattr__(name: str) -> Any:
    # Looked up late: a stage that only reads params.yaml must not depend on the policy's code.
    if name in __all__:
        return getattr(importlib.import_module("fisor.acting"), name)
    raise AttributeError(f"module 'fisor' has no attribute {name!r}")
