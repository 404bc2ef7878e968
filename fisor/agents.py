"""Agents: the interface between a method and evaluation, or a user's program.

A policy's folder has `trained/`, written by a training stage (parameters, and a configuration that
names the method), and `acting.json`, the acting parameters, written by stage evaluate.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fisor.errors import InputError
from fisor.methods import method_module
from fisor.nn import checkpoint

Array = jax.Array

TRAINED, ACTING = "trained", "acting.json"


class Step(NamedTuple):
    """What an agent observes of one episode before it acts.

    Attributes:
        observation: `[obs_dim]` observation of the current state.
        reward: `[]` reward of the previous step; 0 at the first step of an episode.
        cost: `[]` cost of the previous step, that is, of the current state; 0 at the first step.
        time: `[]` int32, number of steps done in this episode.
    """

    observation: Any
    reward: Any
    cost: Any
    time: Any


class Agent(NamedTuple):
    """A policy that acts in one episode; callers vmap.

    Attributes:
        params: pytree of arrays, stacked along a leading `[seeds]` axis.
        action_dim: number of entries of an action.
        initial_memory: () -> the memory before the first step of an episode, a pytree of arrays;
            `()` if the agent acts on the observation alone.
        act: (params of one seed, memory, step, key) -> (action `[action_dim]` in [-1, 1], memory).
            Consumes the key.
        feasible_value: (params of one seed, observations `[B, obs_dim]`) -> V_h `[B]`; None for a
            method that has none.
        feasible_action_value: (params of one seed, observations `[B, obs_dim]`, actions
            `[B, action_dim]`) -> Q_h `[B]`; None likewise.
        cpu_options: options of XLA to compile `act` with, on CPUs and for several seeds at once.
    """

    params: Any
    action_dim: int
    initial_memory: Callable[[], Any]
    act: Callable[[Any, Any, Step, Array], tuple[Array, Any]]
    feasible_value: Callable[[Any, Array], Array] | None = None
    feasible_action_value: Callable[[Any, Array, Array], Array] | None = None
    cpu_options: Mapping[str, str] = MappingProxyType({})

    @property
    def seeds(self) -> int:
        """The number of training seeds."""
        return jax.tree.leaves(self.params)[0].shape[0]


def module_of(trained: str | Path) -> ModuleType:
    """The module of the method that a folder's policy was trained by.

    Raises:
        InputError: the folder is no policy, or names an unknown method.
    """
    return method_module(str(checkpoint.load_config(trained).get("agent")))


def load_agent(trained: str | Path, acting: Mapping[str, Any]) -> Agent:
    """Read a trained policy as an agent.

    Args:
        trained: the folder that a training stage wrote.
        acting: values of the method's acting parameters.

    Raises:
        InputError: the folder is no complete policy, or names an unknown method.
        ValueError: an acting parameter is unknown, missing or out of range.
    """
    config, module = checkpoint.load_config(trained), module_of(trained)
    names = module.Acting.names()
    for name in (*acting, *names):
        if name not in names or name not in acting:
            state = "is missing" if name in names else "is unknown"
            known = ", ".join(names) or "none"
            raise ValueError(f"acting parameter {name} {state}; {config['agent']} has: {known}")
    checked = module.Acting(**acting)
    checked.refuse_out_of_bounds()
    return module.agent(Path(trained), config, checked)


class Policy:
    """One trained seed, ready to act in B episodes at once; made by `load_policy`."""

    def __init__(self, agent: Agent, seed: int) -> None:
        """Compile `agent` for one of its seeds; `load_policy` calls this."""
        self._agent = agent
        # On the host: on the device, each shape of array would be a program to start.
        of_seed = jax.tree.map(lambda leaf: np.asarray(leaf)[seed], agent.params)
        self._params = jax.device_put(of_seed)
        act = jax.vmap(agent.act, in_axes=(None, 0, 0, 0))

        @jax.jit
        def act_in_all(params: Any, memory: Any, step: Step, key: Array) -> tuple[Array, Any]:
            return act(params, memory, step, jax.random.split(key, step.observation.shape[0]))

        self._act = act_in_all
        self._feasible_value = agent.feasible_value and jax.jit(agent.feasible_value)
        self._feasible_action_value = agent.feasible_action_value and jax.jit(
            agent.feasible_action_value
        )

    @property
    def action_dim(self) -> int:
        """Entries of an action."""
        return self._agent.action_dim

    def initial_memory(self, episodes: int) -> Any:
        """The memory before the first step of `episodes` episodes, for `step`."""
        memory = self._agent.initial_memory()
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * episodes), memory)

    def step(self, memory: Any, step: Step, key: Array) -> tuple[Array, Any]:
        """Act in B episodes.

        Args:
            memory: from `initial_memory`, or from the previous step. Where a new episode begins, it
                must be the initial one.
            step: what is observed, each field with a leading `[B]` axis.
            key: a JAX key, consumed; the same key gives the same actions.

        Returns:
            `[B, action_dim]` actions in [-1, 1], and the memory for the next step.
        """
        seen = Step(*(jnp.asarray(field) for field in step))
        return self._act(self._params, memory, seen, key)

    def act(self, observations: np.ndarray | Array, key: Array) -> Array:
        """Choose actions from observations alone.

        Args:
            observations: `[B, obs_dim]`.
            key: a JAX key, consumed; the same key gives the same actions.

        Returns:
            `[B, action_dim]` actions in [-1, 1].

        Raises:
            TypeError: the policy has a memory; use `step`.
        """
        if jax.tree.leaves(self._agent.initial_memory()):
            raise TypeError("this policy remembers its episode: use initial_memory() and step()")
        observations = jnp.asarray(observations, jnp.float32)
        none = np.zeros(observations.shape[0], np.float32)
        step = Step(observations, none, none, none.astype(np.int32))
        return self.step(self._agent.initial_memory(), step, key)[0]

    def feasible_value(self, observations: np.ndarray | Array) -> Array:
        """V_h of `[B, obs_dim]` observations, `[B]`: at most 0 means feasible (Definition 2).

        Raises:
            TypeError: the policy's method learns no feasible value.
        """
        self.refuse_without_feasible_value()
        assert self._feasible_value is not None
        return self._feasible_value(self._params, jnp.asarray(observations, jnp.float32))

    def feasible_action_value(
        self, observations: np.ndarray | Array, actions: np.ndarray | Array
    ) -> Array:
        """Q_h of any actions `[B, action_dim]` in states of observations `[B, obs_dim]`, `[B]`.

        At most 0 means that the action keeps to the feasible region.

        Raises:
            TypeError: the policy's method learns no feasible value.
        """
        self.refuse_without_feasible_value()
        assert self._feasible_action_value is not None
        rows = (jnp.asarray(rows, jnp.float32) for rows in (observations, actions))
        return self._feasible_action_value(self._params, *rows)

    def refuse_without_feasible_value(self) -> None:
        """Raise `TypeError` if the policy's method learns no feasible values."""
        if self._feasible_value is None or self._feasible_action_value is None:
            raise TypeError("this policy's method learns no feasible value")


def load_policy(directory: str | Path, seed: int = 0, **acting: Any) -> Policy:
    """Load a trained policy, which acts as in its evaluation; needs neither DVC nor the dataset.

    Args:
        directory: a policy's folder, such as data/policy/PointRobot/FISOR.
        seed: the training seed that acts, from 0.
        acting: acting parameters that differ from those of its evaluation, such as N=4.

    Returns:
        An object with `act`, `step` and `feasible_value`.

    Raises:
        InputError: the folder is no complete policy.
        ValueError: there is no such seed, or an acting parameter is unknown or out of range.
    """
    directory = Path(directory)
    agent = load_agent(directory / TRAINED, read_acting(directory) | acting)
    if not 0 <= seed < agent.seeds:
        raise ValueError(f"seed must be 0 to {agent.seeds - 1} in {directory}, not {seed}")
    return Policy(agent, seed)


def read_acting(directory: Path) -> dict[str, Any]:
    """The acting parameters that a policy was evaluated with; empty if it was not evaluated.

    Raises:
        InputError: the file is not a JSON object.
    """
    path = directory / ACTING
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold a JSON object")
    return values


def write_acting(path: Path, acting: Mapping[str, Any]) -> None:
    """Write a policy's acting parameters."""
    text = json.dumps(dict(acting), indent=2, sort_keys=True) + "\n"
    path.write_text(text, encoding="utf-8")
