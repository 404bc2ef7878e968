"""Record the chosen episodes of a method on a task."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fisor import agents
from fisor.agents import TRAINED, Agent
from fisor.config.recording import RecordStage
from fisor.envs.suites import Episode, suite_of
from fisor.errors import InputError
from fisor.evaluation.actor import actor
from fisor.evaluation.rollouts import slots_of
from fisor.evaluation.scores import episodes_in_flight, normalised_cost, normalised_reward
from fisor.recording import folder
from fisor.recording.choice import chosen_episodes
from fisor.recording.clips import clip
from fisor.recording.replay import NotRendered, RenderedSimulator, Replay, replay

COLUMNS = ("seed", "episode", "reset_seed", "return", "cost", "length", "violating_steps")
TOLERANCE = 1e-9  # of sums of the same numbers in another order


def record(task: RecordStage, policy: Path, rollouts: Path, out: Path) -> None:
    """Replay the median and the worst episode; write their clips, or what is missing for them.

    Args:
        task: what was evaluated.
        policy: the policy's folder, with its acting parameters.
        rollouts: the table of evaluated episodes.
        out: the folder to make.

    Raises:
        InputError: policy or table cannot be read, or are of other seeds or episodes.
    """
    evaluated = pq.read_table(rollouts, columns=list(COLUMNS))
    try:
        agent = agents.load_agent(policy / TRAINED, agents.read_acting(policy))
    except ValueError as error:
        raise InputError(f"{policy}: {error}") from error
    if evaluated.num_rows != agent.seeds * task.episodes:
        raise InputError(
            f"{rollouts}: has {evaluated.num_rows} episodes, not {task.episodes} of each of "
            f"{agent.seeds} seeds; evaluate {policy} again"
        )
    try:
        replays = replayed(agent, task, evaluated)
    except NotRendered as problem:
        folder.write(out, "missing", missing=str(problem))
        return
    clips, files = [], {}
    for which, (row, again) in replays.items():
        made = clip(again.pictures, again.shown, again.violating_steps)
        files[name := f"{which}.webp"] = made.webp
        shown = {
            "steps_per_frame": made.steps_per_frame,
            "frames_per_second": made.frames_per_second,
        }
        clips.append({"which": which, "file": name} | described(again, row, task) | shown)
    folder.write(out, "recorded", clips=clips, files=files)


def replayed(
    agent: Agent, task: RecordStage, evaluated: pa.Table
) -> dict[str, tuple[Mapping[str, Any], Replay]]:
    """The chosen episodes by `median` and `worst`: their evaluated row, and what happened again.

    Raises:
        NotRendered: the simulator or its renderer failed.
    """
    column = {name: evaluated[name].to_numpy() for name in COLUMNS}
    in_flight = episodes_in_flight(task.episodes, suite_of(task))
    slots = np.stack(
        [slots_of(lengths, in_flight) for lengths in column["length"].reshape(agent.seeds, -1)]
    ).ravel()
    act = actor(agent, task.evaluation_seed, (agent.seeds, in_flight))
    replays: dict[str, tuple[Mapping[str, Any], Replay]] = {}
    with RenderedSimulator(task) as simulator:
        for which, index in chosen_episodes(column["cost"], column["return"]).items():
            row = {name: values[index].item() for name, values in column.items()}
            again = replay(
                act,
                simulator,
                Episode(row["seed"], row["episode"], row["reset_seed"]),
                row=row["seed"] * in_flight + int(slots[index]),
                rows=agent.seeds * in_flight,
                length=task.horizon_steps,
            )
            replays[which] = row, again
    return replays


def described(again: Replay, row: Mapping[str, Any], task: RecordStage) -> dict[str, Any]:
    """What recording.json says about an episode, as it was replayed.

    Args:
        again: the replay.
        row: the evaluated episode.
        task: for the scores.
    """
    total, cost = float(again.rewards.sum()), float(again.costs.sum())
    violating = again.violating_steps
    same = (
        math.isclose(total, row["return"], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        and math.isclose(cost, row["cost"], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        and (len(again.rewards), len(violating)) == (row["length"], row["violating_steps"])
    )
    return {
        "seed": row["seed"],
        "episode": row["episode"],
        "return": total,
        "cost": cost,
        "normalised_reward": normalised_reward(np.array(total), task).item(),
        "normalised_cost": normalised_cost(np.array(cost), task).item(),
        "length": len(again.rewards),
        "violating_steps": violating,
        "same_as_evaluated": same,
    }
