"""What a task's `acquire` entry says of a collection from its simulator."""

from typing import NamedTuple

from fisor.errors import InputError
from fisor.tasks import Task


class SimulatorSettings(NamedTuple):
    """A task's `acquire` entry, checked.

    Attributes:
        environment_steps: the collection ends with the roll-out that reaches it.
        episodes: how many the dataset keeps of those seen.
        highest_cost: of an episode that it keeps, above 0.
        seed: of everything random.
        discount: of the learner; long tasks want more than the usual 0.99.
    """

    environment_steps: int
    episodes: int
    highest_cost: float
    seed: int
    discount: float = 0.99


def simulator_settings(task: Task) -> SimulatorSettings:
    """Read `acquire` of a task that is collected from its simulator.

    `file` may stand there beside them: it names the task's file for `source: dsrl`.

    Raises:
        InputError: a key is unknown or missing, or a value is out of range.
    """
    settings, where = dict(task.acquire), f"tasks.yaml: {task.name}.acquire"
    if settings.pop("source", None) != "collect":
        raise InputError(f"{where}.source: must be `collect` or `dsrl`")
    settings.pop("file", None)
    fields = SimulatorSettings._fields
    if unknown := sorted(map(str, settings.keys() - set(fields))):
        raise InputError(f"{where}: unknown key `{unknown[0]}`; known: {', '.join(fields)}")
    required = set(fields) - SimulatorSettings._field_defaults.keys()
    if missing := sorted(required - settings.keys()):
        raise InputError(f"{where}: `{missing[0]}` is missing")
    for name, least in (("environment_steps", 1), ("episodes", 1), ("seed", 0)):
        value = settings[name]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{where}.{name}: must be a whole number >= {least}, not {value!r}")
    for name, most in (("highest_cost", 1e9), ("discount", 1.0)):
        value = settings.get(name, SimulatorSettings._field_defaults.get(name))
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < most:
            raise InputError(f"{where}.{name}: must be above 0 and below {most:g}, not {value!r}")
    return SimulatorSettings(**settings)
