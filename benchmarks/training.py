"""Updates a second of the three training stages, against the reference loop and the floor."""

import dataclasses
import gc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measuring import COPY_FLOATS, Timing, copy, in_turns, product_chain, ratio
from benchmarks.reference_loop import ReferenceLoop
from benchmarks.updates import Fitted, advancing
from fisor.config.params import Params
from fisor.critics import feasibility, reward
from fisor.data.transitions import Transitions
from fisor.policies import regression

STAGES = "train_feasibility", "train_reward", "train_policy"
ROWS, ACTION_DIM = 100_000, 2
MILLION = 1_000_000
PRECISIONS: tuple[Any, ...] = "float32", "tensorfloat32", "bfloat16"


class Lengths(NamedTuple):
    """How much is done in one timing; of our stages, divided by the seeds."""

    critic: int
    policy: int
    joint_loop: int
    critic_loop: int
    product_repeats: int


ON_CPU, ON_GPU = Lengths(60, 2, 2, 30, 40), Lengths(3000, 500, 200, 500, 2000)


def lengths() -> Lengths:
    """Some tenths of a second each."""
    return ON_CPU if jax.devices()[0].platform == "cpu" else ON_GPU


def random_transitions(observation_dim: int) -> Transitions:
    """`ROWS` random rows: what they hold does not matter for speed."""
    draw = np.random.default_rng(0)
    states = draw.standard_normal((ROWS + 1, observation_dim), np.float32)
    return Transitions(
        observations=states[:-1],
        actions=draw.uniform(-1, 1, (ROWS, ACTION_DIM)).astype(np.float32),
        next_observations=states[1:],
        rewards=draw.standard_normal(ROWS, np.float32),
        costs=None,
        violations=draw.standard_normal(ROWS, np.float32),
        terminals=draw.random(ROWS) < 0.01,
    )


def stage_training(stage: str, params: Any, data: Transitions, on_device: Any) -> Fitted:
    """What a stage's training hands to the training loop; for the policy, with weights of 1.

    Args:
        stage: its name.
        params: the stage's section, or params.yaml as a whole.
        data: the dataset, for its sizes.
        on_device: the dataset to learn from.
    """
    if stage == "train_policy":
        return Fitted(
            regression.init(params, data),
            regression.update(params, data.actions.shape[-1]),
            regression.learned_from(on_device),
            jnp.ones((params.seeds, data.rewards.shape[0])),
            batch_size=params.policy_batch_size,
        )
    if stage == "train_feasibility":
        given = feasibility.init(params, data), feasibility.update(params)
        rows = feasibility.learned_from(params, on_device)
    else:
        given = reward.init(params, data), reward.update(params)
        rows = reward.learned_from(on_device)
    return Fitted(*given, rows, batch_size=params.value_batch_size)


def our_stage(
    stage: str, params: Params, data: Transitions, on_device: Any
) -> tuple[Callable[[], Any], int]:
    """A function that goes on with a stage's training by a chunk, and the chunk's updates."""
    updates = lengths().policy if stage == "train_policy" else lengths().critic
    length = max(1, updates // params.seeds)
    return advancing(stage_training(stage, params, data, on_device), params.seeds, length), length


def operations(stage: str, params: Params, observation_dim: int) -> float:
    """Operations of the products in one seed's update, the least that the method needs.

    A pass backwards takes two products a layer, but the first layer's inputs need no gradient.
    """
    if stage == "train_policy":
        units, inputs = params.policy_units, observation_dim + ACTION_DIM
        blocks = params.policy_blocks * 2 * units * 4 * units
        each = 3 * blocks + 2 * inputs * units + 3 * units * ACTION_DIM
        return 2 * params.policy_batch_size * each
    units, hidden = params.hidden_units, (params.hidden_layers - 1) * params.hidden_units**2
    rest = hidden + units
    q_first, v_first = (observation_dim + ACTION_DIM) * units, observation_dim * units
    # The target twins; the twins and back; V and back; V of the next states.
    each = 2 * (q_first + rest) + 2 * (2 * q_first + 3 * rest)
    each += 2 * v_first + 3 * rest + v_first + rest
    return 2 * params.value_batch_size * each


def bytes_moved(stage: str, params: Params, data: Transitions) -> float:
    """Bytes of one seed's update: each float of Adam's and the averages' read and written once."""
    module: Any = {"train_feasibility": feasibility, "train_reward": reward}.get(stage, regression)
    states = jax.eval_shape(module.init(params, data), jax.random.key(0))
    batch_size = params.policy_batch_size if module is regression else params.value_batch_size
    row = sum(array[:1].size * 4 for array in jax.tree.leaves(data))
    return 8 * sum(leaf.size for leaf in jax.tree.leaves(states)) + batch_size * row


def rates(params: Params) -> dict[str, tuple[Callable[[], Any], int]]:
    """The probes of the machine's own rates, at the shapes that dominate either network."""
    repeats = lengths().product_repeats
    return {
        "products of critics": (
            product_chain(params.value_batch_size, (params.hidden_units,) * 2, repeats),
            repeats,
        ),
        "products of policy": (
            product_chain(
                params.policy_batch_size,
                (params.policy_units, 4 * params.policy_units),
                max(1, repeats // 20),
            ),
            max(1, repeats // 20),
        ),
        "copy": (copy(), 1),
    }


def measure(
    params: Params, observation_dims: Sequence[int], seeds: Sequence[int], rounds: int, full: bool
) -> dict[str, Any]:
    """Every figure of training.

    Args:
        params: params.yaml's, the paper's sizes.
        observation_dims: sizes of an observation; the first is measured with all `seeds`.
        seeds: how many train side by side; the others are measured with the first of these.
        rounds: timings of each.
        full: all seeds at all sizes.
    """
    cells: list[dict[str, Any]] = []
    machine: dict[str, float] = {}
    totals: list[dict[str, Any]] = []
    for index, dim in enumerate(observation_dims):
        data = random_transitions(dim)
        on_device = jax.device_put(data)
        works = dict(rates(params))
        loops = {
            "reference loop, all": ReferenceLoop(params, data, ("reward", "feasibility"), True),
            "reference loop, Q_h and V_h": ReferenceLoop(params, data, ("feasibility",), False),
        }
        for (name, loop), steps in zip(
            loops.items(), (lengths().joint_loop, lengths().critic_loop), strict=True
        ):
            works[name] = partial(loop.advance, steps), steps
        kinds = {}
        for count in seeds if full or index == 0 else seeds[:1]:
            for precision in PRECISIONS:
                # A CPU, which is slow, has no tensorfloat32 and bfloat16 at the first sizes alone.
                first = index == 0 and count == seeds[0]
                if lengths() is ON_CPU and (
                    precision == "tensorfloat32"
                    or (precision == "bfloat16" and not (first or full))
                ):
                    continue
                changed = dataclasses.replace(params, seeds=count, product_precision=precision)
                for stage in STAGES:
                    name = f"{stage}, {count} seeds, {precision}"
                    works[name] = our_stage(stage, changed, data, on_device)
                    kinds[name] = stage, count, precision
        timings = in_turns(works, rounds)
        found = _machine(params, timings)
        machine = {k: max(v, machine.get(k, 0.0)) for k, v in found.items()}
        here = [_cell(params, data, timings, kinds[name], name, found) for name in kinds]
        cells += here
        totals += _totals(timings, kinds, dim)
        for name in loops:
            cells.append(
                {"what": name, "observation_dim": dim, "seeds": 1, "precision": "JAX's own"}
                | _speed(timings[name], 1)
            )
        del works, loops, on_device
        gc.collect()
    return {"machine": machine, "updates": cells, "million_steps": totals}


def _machine(params: Params, timings: dict[str, Timing]) -> dict[str, float]:
    critic = 4 * params.value_batch_size * params.hidden_units**2
    scores = 16 * params.policy_batch_size * params.policy_units**2
    return {
        "critics_products_flop_per_second": critic / timings["products of critics"].best,
        "policy_products_flop_per_second": scores / timings["products of policy"].best,
        "copy_bytes_per_second": 8 * COPY_FLOATS / timings["copy"].best,
    }


def _speed(timing: Timing, seeds: int) -> dict[str, float]:
    middle = sorted(timing.seconds)[len(timing.seconds) // 2]
    return {
        "milliseconds": 1e3 * timing.best,
        "milliseconds_median": 1e3 * middle,
        "updates_per_second": 1 / timing.best,
        "seed_updates_per_second": seeds / timing.best,
    }


def _cell(
    params: Params,
    data: Transitions,
    timings: dict[str, Timing],
    kind: tuple[str, int, str],
    name: str,
    machine: dict[str, float],
) -> dict[str, Any]:
    stage, seeds, precision = kind
    dim = data.observations.shape[-1]
    is_policy = stage == "train_policy"
    rate = machine[f"{'policy' if is_policy else 'critics'}_products_flop_per_second"]
    probe = timings["products of policy" if is_policy else "products of critics"]
    products = seeds * operations(stage, params, dim) / rate
    copies = seeds * bytes_moved(stage, params, data) / machine["copy_bytes_per_second"]
    # In pairs: the probe's time of the same round, scaled to as many operations.
    scale = products / probe.best
    cell = {"what": stage, "observation_dim": dim, "seeds": seeds, "precision": precision}
    cell |= _speed(timings[name], seeds) | {
        "floor_products_milliseconds": 1e3 * products,
        "floor_bytes_milliseconds": 1e3 * copies,
        "share_of_product_rate": scale / ratio(timings[name], probe),
    }
    one = f"{stage}, 1 seeds, {precision}"
    if seeds > 1 and one in timings:
        cell["time_against_one_seed"] = ratio(timings[name], timings[one])
    if stage == "train_feasibility" and seeds == 1:
        loop = timings["reference loop, Q_h and V_h"]
        cell["times_faster_than_reference_loop"] = ratio(loop, timings[name])
    return cell


def _totals(
    timings: dict[str, Timing], kinds: dict[str, tuple[str, int, str]], dim: int
) -> list[dict[str, Any]]:
    """The time of a million steps of everything, from the rates; ours against the loop's."""
    loop = timings["reference loop, all"]
    totals = []
    for seeds, precision in dict.fromkeys(
        (count, precision) for _, count, precision in kinds.values()
    ):
        stages = [timings[f"{stage}, {seeds} seeds, {precision}"] for stage in STAGES]
        ours = Timing([sum(each) for each in zip(*(t.seconds for t in stages), strict=True)])
        best = sum(t.best for t in stages)
        totals.append(
            {
                "observation_dim": dim,
                "seeds": seeds,
                "precision": precision,
                "our_minutes": MILLION * best / 60,
                "reference_loop_minutes": MILLION * loop.best * seeds / 60,
                "times_faster": seeds * ratio(loop, ours),
            }
        )
    return totals
