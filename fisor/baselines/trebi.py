"""TREBI: plans by diffusion, guided and chosen by the budget that is left (Lin et al. 2023).

A Diffuser (Janner et al. 2022) draws plans; a value of the rewards to come and one of the costs to
come, both of noisy plans, guide it. Numbers are the released code's.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisor.agents import Agent, Step
from fisor.baselines import actors
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.baselines.limits import discounted_limit
from fisor.baselines.trebi_networks import first_params, networks
from fisor.baselines.trebi_planning import (
    Guidance,
    add_noise,
    budget_left,
    from_here,
    make_plan,
    schedule,
)
from fisor.baselines.trebi_windows import Normaliser, Rows, may_begin, plan_of
from fisor.config.baseline import BaselineActing, BaselineTraining
from fisor.config.section import setting
from fisor.data.transitions import Transitions
from fisor.nn import checkpoint
from fisor.nn.networks import PRODUCTS_APART, forward
from fisor.nn.optimiser import Learner, begin, descend, optimiser

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaselineTraining):
    """TREBI's parameters of training; `training_steps` are the values' gradient steps.

    Attributes:
        planner_updates: gradient steps of the planner for each one of the values.
        batch_windows: windows of a gradient step.
        gamma: discount of the values and of the budget.
        soft_update: share by which the moving averages of the weights, which act, move in each
            step.
        action_weight: of a plan's first action in the planner's loss; all else weighs 1.
        plan_steps: of a plan.
        T: noise levels of the diffusion.
        channels: of the networks at all steps of a plan.
        channel_multipliers: of `channels`, one for each resolution, each of half the steps of the
            one before.
    """

    planner_updates: int = setting(ge=1, by_task=True)
    batch_windows: int = setting(ge=1, by_task=True)
    gamma: float = setting(gt=0, le=1)
    soft_update: float = setting(gt=0, lt=1, by_task=True)
    action_weight: float = setting(ge=0)
    plan_steps: int = setting(ge=2, by_task=True)
    T: int = setting(ge=1, le=1000)
    channels: int = setting(ge=8, multiple_of=8, by_task=True)
    channel_multipliers: tuple[int, ...] = setting(min_length=1, by_task=True)

    def __post_init__(self) -> None:
        """Refuse sizes that the networks cannot have."""
        if min(self.channel_multipliers) < 1:
            raise ValueError("channel_multipliers must be at least 1")
        if self.plan_steps % 2 ** (len(self.channel_multipliers) - 1):
            raise ValueError(
                f"plan_steps must be divisible by 2 for each resolution after the first, of which "
                f"channel_multipliers has {len(self.channel_multipliers) - 1}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """How TREBI acts.

    Attributes:
        cost_limit: cost per episode; None takes the task's.
        plans: drawn in each step, of which one acts.
        guidance_steps: gradient steps at each noise level.
        guidance_scale: of the gradient times the posterior's variance.
        cost_weight: of the cost value's gradient, where a plan exceeds the budget.
    """

    cost_limit: float | None = setting(ge=0)
    plans: int = setting(ge=1, by_task=True)
    guidance_steps: int = setting(ge=0)
    guidance_scale: float = setting(ge=0)
    cost_weight: float = setting(ge=0)


class Averaged(NamedTuple):
    """A network in training, and the moving average of its parameters, which acts."""

    learner: Learner
    average: Any

    @classmethod
    def begin(cls, adam: optax.GradientTransformation, params: Any) -> "Averaged":
        """Before the first step."""
        return cls(begin(adam, params), params)

    def step(
        self, adam: optax.GradientTransformation, loss: Any, soft_update: float
    ) -> tuple["Averaged", Any]:
        """After a gradient step; with what the loss gives beside its value."""
        learner, _, rest = descend(adam, self.learner, loss)
        average = optax.incremental_update(learner.params, self.average, soft_update)
        return Averaged(learner, average), rest


class State(NamedTuple):
    """What the training of one seed carries."""

    planner: Averaged
    values: Averaged


def planner_loss(predicted: Array, plan: Array, action_dim: int, weight: float) -> Array:
    """Mean of w (x_hat - x)^2, `[steps, n]` -> `[]` (Janner et al. 2022, released code).

    w is 1, but for the first action, and 0 for the first observation, which is given.

    Args:
        predicted: the planner's output.
        plan: without noise, an action's entries first.
        action_dim: entries of an action.
        weight: of the first action.
    """
    weights = jnp.ones_like(plan).at[0].set(0.0).at[0, :action_dim].set(weight)
    return (weights * jnp.square(predicted - plan)).mean()


def value_losses(values: Array, to_come: Array) -> Array:
    """(V - sum_k gamma^k v_(t+k))^2 of rewards and of costs, `[2]` -> `[2]`."""
    return jnp.square(values - to_come)


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed.

    Args:
        config: its parameters.
        problem: for the rows' steps, and for the limit and the horizon of the task.
        data: the dataset, n transitions.
        fit: the training loop.
    """
    action_dim = data.actions.shape[-1]
    shape = config.plan_steps, action_dim + data.observations.shape[-1]
    planner, values = networks(
        config.channels, config.channel_multipliers, config.product_precision
    )
    all_planner_updates = config.training_steps * config.planner_updates
    of_planner = optimiser(dataclasses.replace(config, training_steps=all_planner_updates))
    of_values = optimiser(config)
    noise_schedule, normaliser = schedule(config.T), Normaliser.of(data)

    def noisy(plans: Array, key: Array) -> tuple[Array, Array]:
        """Plans `[B, steps, n]` at random levels, but for where they begin; and the levels."""
        level_key, noise_key = jax.random.split(key)
        levels = jax.random.randint(level_key, plans.shape[:1], 0, config.T)
        noise = jax.random.normal(noise_key, plans.shape)
        with_noise = jax.vmap(add_noise, (None, 0, 0, 0))(noise_schedule, plans, levels, noise)
        return jax.vmap(from_here)(with_noise, plans[:, 0, action_dim:]), levels

    def init(key: Array) -> State:
        planner_key, values_key = jax.random.split(key)
        return State(
            Averaged.begin(of_planner, first_params(planner, shape, planner_key)),
            Averaged.begin(of_values, first_params(values, shape, values_key)),
        )

    def planner_step(state: Averaged, drawn: tuple[Array, Array]) -> tuple[Averaged, Array]:
        plans, key = drawn
        inputs = noisy(plans, key)

        def mean_loss(params: Any) -> tuple[Array, Array]:
            predicted = forward(planner, params, *inputs)
            of_plan = partial(planner_loss, action_dim=action_dim, weight=config.action_weight)
            mean = jax.vmap(of_plan)(predicted, plans).mean()
            return mean, mean

        return state.step(of_planner, mean_loss, config.soft_update)

    def values_step(
        state: Averaged, plans: Array, to_come: Array, key: Array
    ) -> tuple[Averaged, Array]:
        inputs = noisy(plans, key)

        def mean_loss(params: Any) -> tuple[Array, Array]:
            each = jax.vmap(value_losses)(forward(values, params, *inputs), to_come).mean(0)
            return each.sum(), each

        return state.step(of_values, mean_loss, config.soft_update)

    def update(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        windows, _ = batch
        plans = jax.vmap(plan_of, in_axes=(0, None))(windows, normaliser)
        planner_key, values_key = jax.random.split(key)
        each = (
            plans.reshape(config.planner_updates, config.batch_windows, *shape),
            jax.random.split(planner_key, config.planner_updates),
        )
        next_planner, planner_losses = jax.lax.scan(planner_step, state.planner, each)
        first = slice(config.batch_windows)
        next_values, (reward_loss, cost_loss) = values_step(
            state.values, plans[first], windows.values[first, 0], values_key
        )
        return State(next_planner, next_values), {
            "planner_loss": planner_losses.mean(),
            "reward_value_loss": reward_loss,
            "cost_value_loss": cost_loss,
        }

    begins = may_begin(problem.step, problem.horizon_steps, config.plan_steps)
    states, curve = fit(
        init,
        update,
        Rows.of(data, problem.step, config.gamma),
        row_weights=np.broadcast_to(begins.astype(np.float32), (config.seeds, begins.size)),
        batch_size=config.batch_windows * config.planner_updates,
        window_steps=config.plan_steps,
    )
    of_all = jax.tree.map(lambda x: np.broadcast_to(x, (config.seeds, *x.shape)), normaliser)
    sizes = ("plan_steps", "T", "channels", "channel_multipliers", "gamma")
    of_task = {"cost_limit": problem.cost_limit, "horizon_steps": problem.horizon_steps}
    return Trained(
        {
            "planner": states.planner.average,
            "values": states.values.average,
            "normaliser": of_all,
        },
        {name: getattr(config, name) for name in sizes} | of_task,
        curve,
    )


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder; it remembers the budget that was left before its last step.

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    names = "observation_dim", "action_dim", "plan_steps", "T", "channels"
    observation_dim, action_dim, plan_steps, T, channels = (
        checkpoint.size(config, name, directory) for name in names
    )
    planner, values = networks(channels, tuple(config["channel_multipliers"]))
    shape, noise_schedule = (plan_steps, action_dim + observation_dim), schedule(T)
    guidance = Guidance(acting.guidance_steps, acting.guidance_scale, acting.cost_weight)
    gamma = config["gamma"]
    limit = config["cost_limit"] if acting.cost_limit is None else acting.cost_limit
    first_budget = discounted_limit(limit, gamma, config["horizon_steps"])

    def template(key: Array) -> Any:
        entries = jnp.zeros(shape[1])
        return {
            "planner": first_params(planner, shape, key),
            "values": first_params(values, shape, key),
            "normaliser": Normaliser(entries, entries),
        }

    def initial_memory() -> Array:
        return jnp.asarray(first_budget, jnp.float32)

    def act(params: Any, memory: Array, step: Step, key: Array) -> tuple[Array, Array]:
        budget = jnp.where(step.time == 0, first_budget, budget_left(memory, step.cost, gamma))
        normaliser = params["normaliser"]
        plan = make_plan(
            lambda plan, level: forward(planner, params["planner"], plan[None], level[None])[0],
            lambda plan, level: forward(values, params["values"], plan[None], level[None])[0],
            noise_schedule,
            guidance,
            acting.plans,
            normaliser.observation(step.observation),
            budget,
            shape,
            key,
        )
        return jnp.clip(normaliser.action(plan[0, :action_dim]), -1.0, 1.0), budget

    params = actors.load(directory, config, template)
    # Without it, XLA's program for several seeds and twenty episodes crashes.
    return Agent(params, action_dim, initial_memory, act, cpu_options=PRODUCTS_APART)
