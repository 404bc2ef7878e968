"""A policy's feasible values at run time: each action is judged before it is taken, or replaced."""

from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np

from fisor.agents import Policy
from fisor.outputs import atomic_file

INFO = "monitor"  # the key of a step's info


def monitor(
    environment: gymnasium.Env,
    policy: Policy,
    *,
    margin: float = 0.0,
    guard: bool = True,
    record: str | Path | None = None,
    seed: int = 0,
) -> "Monitor":
    """Watch an environment by a policy's feasible values, and guard whatever acts in it.

    Any function from observations to actions can act. Where its action has Q_h > -margin, it would
    leave the region that the policy calls feasible by that margin, and the policy's own action is
    taken instead. Each step's `info["monitor"]` holds

    - `feasible_value`: V_h of the state that was acted in,
    - `action_value`: Q_h of the action that was asked for,
    - `taken_value`: Q_h of the action that was taken,
    - `margin`,
    - `stepped_in`: whether the policy's action was taken instead.

    Args:
        environment: a gymnasium environment of the task that the policy was trained on, with
            actions in [-1, 1]. Closing the monitor closes it.
        policy: from `fisor.load_policy`, of a method with feasible values.
        margin: in units of h, at least 0.
        guard: whether the policy steps in; if not, it only watches.
        record: a Parquet file for the same, one row per step, with episode (from 0), step (from 1),
            reward and cost (null where the environment's info has none). It is written when the
            monitor is closed, and needs pyarrow.
        seed: of the policy's randomness.

    Returns:
        The environment, so watched.

    Raises:
        ValueError: the margin is negative, or the environment's actions are not the policy's.
        TypeError: the policy's method learns no feasible value.
    """
    return Monitor(
        environment, policy, margin, guard, None if record is None else Path(record), seed
    )


class Monitor(gymnasium.Wrapper):
    """An environment that is watched; made by `monitor`."""

    def __init__(
        self,
        environment: gymnasium.Env,
        policy: Policy,
        margin: float,
        guard: bool,
        record: Path | None,
        seed: int,
    ) -> None:
        """See `monitor`."""
        super().__init__(environment)
        if not margin >= 0:
            raise ValueError(f"margin must be at least 0, not {margin}")
        space, size = environment.action_space, (policy.action_dim,)
        if not (
            isinstance(space, gymnasium.spaces.Box)
            and space.shape == size
            and (space.low == -1).all()
            and (space.high == 1).all()
        ):
            raise ValueError(f"the policy acts within [-1, 1], {size}; the environment in {space}")
        policy.refuse_without_feasible_value()
        self._policy, self._margin, self._guard = policy, margin, guard
        self._record, self._rows = record, list[dict[str, Any]]()
        self._key = jax.random.key(seed)
        self._episode, self._steps = -1, 0
        self._observation: np.ndarray | None = None

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        self._observation, info = self.env.reset(**options)
        self._episode, self._steps = self._episode + 1, 0
        return self._observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One step, with `action` or the policy's own."""
        if self._observation is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        seen, wanted = self._observation[None], np.asarray(action, np.float32)
        feasible_value = float(self._policy.feasible_value(seen)[0])
        action_value = taken_value = self._action_value(wanted)
        stepped_in, taken = self._guard and action_value > -self._margin, wanted
        if stepped_in:
            key = jax.random.fold_in(jax.random.fold_in(self._key, self._episode), self._steps)
            taken = np.asarray(self._policy.act(seen, key)[0])
            taken_value = self._action_value(taken)
        self._observation, reward, terminated, truncated, info = self.env.step(taken)
        self._steps += 1
        found = {
            "feasible_value": feasible_value,
            "action_value": action_value,
            "taken_value": taken_value,
            "margin": self._margin,
            "stepped_in": stepped_in,
        }
        if self._record is not None:
            at = {"episode": self._episode, "step": self._steps}
            came = {"reward": float(reward), "cost": info.get("cost")}
            self._rows.append(at | found | came)
        return self._observation, reward, terminated, truncated, {**info, INFO: found}

    def close(self) -> None:
        """Close the environment; write the record, if one is kept."""
        super().close()
        if self._record is not None:
            _write(self._record, self._rows)
            self._record = None

    def _action_value(self, action: np.ndarray) -> float:
        assert self._observation is not None
        return float(self._policy.feasible_action_value(self._observation[None], action[None])[0])


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    counts, flags = ("episode", "step"), ("stepped_in",)
    numbers = ("feasible_value", "action_value", "taken_value", "margin", "reward", "cost")
    schema = pa.schema(
        [pa.field(name, pa.int32()) for name in counts]
        + [pa.field(name, pa.bool_()) for name in flags]
        + [pa.field(name, pa.float64()) for name in numbers]
    )
    with atomic_file(path) as file:
        pq.write_table(pa.Table.from_pylist(rows, schema), file, compression="zstd")
