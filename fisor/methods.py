"""The table of methods: the module of each, which is imported when the method is used.

A module has `Acting`, the section of its acting parameters, and `agent(directory, config, acting)`,
which reads a policy's folder. A baseline's module also has `Config`, the section of its training
parameters, and `train(config, problem, data, fit)`; see `fisor.baselines`.
"""

import importlib
from functools import partial
from types import ModuleType
from typing import Any

from fisor.errors import InputError

FISOR = "FISOR"  # and its variants: all policies that are extracted from the two critics
METHODS = {
    FISOR: "fisor.policies.agent",
    "BC": "fisor.baselines.bc",
    "DiffusionBC": "fisor.baselines.diffusion_bc",
    "BC-P": "fisor.baselines.bc_p",
    "BC-L": "fisor.baselines.bc_l",
    "RC-TD3BC": "fisor.baselines.rc_td3bc",
    "Saute-TD3BC": "fisor.baselines.saute_td3bc",
    "COptiDICE": "fisor.baselines.coptidice",
    "BCQ-Lag": "fisor.baselines.bcq_lag",
    "CPQ": "fisor.baselines.cpq",
    "CDT": "fisor.baselines.cdt",
    "TREBI": "fisor.baselines.trebi",
}


def method_module(name: str) -> ModuleType:
    """Import a method's module.

    Raises:
        InputError: there is no such method.
    """
    if name not in METHODS:
        raise InputError(f"there is no method `{name}`; there are: {', '.join(METHODS)}")
    return importlib.import_module(METHODS[name])


def _schemas(name: str) -> tuple[Any, Any]:
    module = method_module(name)
    return module.Config, module.Acting


BASELINES = tuple(name for name in METHODS if name != FISOR)
# The sections of training and of acting; a module is imported when its entry is called.
BASELINE_SCHEMAS = {name: partial(_schemas, name) for name in BASELINES}
