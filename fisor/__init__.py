"""FISOR: safe offline reinforcement learning with hard constraints (Zheng et al., ICLR 2024)."""

from typing import Any

__all__ = ["load_policy", "monitor"]


def __getattr__(name: str) -> Any:
    # Looked up late, so that what needs no policy does not load JAX.
    if name == "load_policy":
        from fisor.agents import load_policy

        return load_policy
    if name == "monitor":  # needs gymnasium, which `fisor` does not require
        from fisor.monitoring import monitor

        return monitor
    raise AttributeError(f"module 'fisor' has no attribute {name!r}")
