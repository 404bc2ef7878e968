"""The name of the hardware, to be recorded with results."""

import os
import platform
from pathlib import Path

import jax

KEY = "hardware"  # in the metadata of a table


def processor() -> str:
    """The processor's name and the cores that this process may use."""
    name = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0))
    return f"{cores} core{'s' if cores > 1 else ''} of {name}"


def hardware() -> str:
    """What JAX computes on: the accelerators, or else the processor."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return processor()
    return f"{jax.device_count()} x {device.device_kind}"
