"""CDT, the constrained decision transformer (Liu et al., ICML 2023), as in OSRL.

It predicts the actions of episodes from their steps so far and from what they still come to:
rewards and costs to go. Asked for a high return at a low cost, it acts as such episodes do.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fisor.agents import Agent, Step
from fisor.baselines import actors
from fisor.baselines.baseline import Fit, Problem, Trained
from fisor.baselines.cdt_data import from_dataset, labels_of, outcomes, rows_of, window_of
from fisor.baselines.cdt_losses import action_loss, cost_loss, entropy, temperature_loss
from fisor.baselines.cdt_network import DecisionTransformer, Window
from fisor.config.baseline import BaselineActing, BaselineTraining
from fisor.config.section import setting
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.nn import checkpoint
from fisor.nn.optimiser import Learner, begin, descend, optimiser

Array = jax.Array

SIZES = "context_steps", "transformer_blocks", "transformer_units", "attention_heads"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(BaselineTraining):
    """CDT's parameters of training.

    Attributes:
        batch_windows: windows a step.
        context_steps: K, steps of an episode in a window.
        transformer_blocks: of the network.
        transformer_units: width of a token.
        attention_heads: of each block; they divide the width.
        dropout: share that is dropped in training: of tokens, attention weights, blocks' outputs.
        warmup_steps: gradient steps until the learning rate is reached.
        weight_decay: AdamW's.
        gradient_clip: a longer gradient is shortened to this norm.
        entropy_temperature: of the entropy at first; it is learned.
        cost_loss_weight: of the loss of predicted costs.
        reward_scale: rewards are multiplied by it.
        highest_sampled_cost: episodes are drawn in proportion to what their cost is below this.
        augmented_share: labels added to the episodes' own, as a share of the episodes.
    """

    batch_windows: int = setting(ge=1, by_task=True)
    context_steps: int = setting(ge=2, le=1000, by_task=True)
    transformer_blocks: int = setting(ge=1, le=64, by_task=True)
    transformer_units: int = setting(ge=1, le=65536, by_task=True)
    attention_heads: int = setting(ge=1, by_task=True)
    dropout: float = setting(ge=0, le=0.99, by_task=True)
    warmup_steps: int = setting(ge=1, by_task=True)
    weight_decay: float = setting(ge=0)
    gradient_clip: float = setting(gt=0)
    entropy_temperature: float = setting(gt=0)
    cost_loss_weight: float = setting(ge=0)
    reward_scale: float = setting(gt=0)
    highest_sampled_cost: float = setting(gt=0)
    augmented_share: float = setting(ge=0, le=1)

    def __post_init__(self) -> None:
        """Refuse heads of no whole width."""
        if self.transformer_units % self.attention_heads:
            raise ValueError(
                f"attention_heads must divide transformer_units, and {self.attention_heads} does "
                f"not divide {self.transformer_units}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Acting(BaselineActing):
    """What CDT is asked for.

    Attributes:
        target_return: of an episode; None is the task's published one (`prompts` in tasks.yaml),
            or the best within the limit in the dataset.
        target_cost: of an episode; None is the task's cost limit.
    """

    target_return: float | None = setting()
    target_cost: float | None = setting(ge=0)


class State(NamedTuple):
    """What is trained.

    Attributes:
        policy: the network.
        temperature: `[]` logarithm of the entropy's temperature.
    """

    policy: Learner
    temperature: Learner


class Memory(NamedTuple):
    """The last K steps of an episode, as in `Window` without `[B]`; the newest is the last."""

    returns: Any
    costs: Any
    observations: Any
    actions: Any


def adamw(config: Config) -> optax.GradientTransformation:
    """AdamW on clipped gradients; its rate rises to the configured one, and falls if it is to."""
    rise = optax.linear_schedule(1 / config.warmup_steps, 1.0, config.warmup_steps - 1)
    fall = optax.cosine_decay_schedule(1.0, config.training_steps)

    def rate(step: Array) -> Array:
        risen = config.learning_rate * rise(step)
        return risen * fall(step) if config.cosine_decay else risen

    decayed = optax.adamw(rate, weight_decay=config.weight_decay)
    return optax.chain(optax.clip_by_global_norm(config.gradient_clip), decayed)


def train(config: Config, problem: Problem, data: Transitions, fit: Fit) -> Trained:
    """Train every seed.

    Args:
        config: its parameters.
        problem: horizon, limit, episodes, and the task's published prompts.
        data: the dataset, n transitions.
        fit: the training loop.

    Raises:
        InputError: every episode costs too much to be drawn.
    """
    episodes = outcomes(problem, data)
    prompts = problem.prompts or from_dataset(episodes, problem.cost_limit)
    labels = labels_of(episodes, prompts, config.augmented_share, config.highest_sampled_cost)
    stored = {
        **{name: getattr(config, name) for name in (*SIZES, "reward_scale")},
        "horizon_steps": problem.horizon_steps,
        "target_return": prompts.target_return,
        "target_cost": problem.cost_limit,
    }
    action_dim = data.actions.shape[-1]
    network = _network(stored, action_dim, config.dropout, config.product_precision)
    adam, adam_of_temperature = adamw(config), optimiser(config)

    def init(key: Array) -> State:
        params = _fresh(network, key, data.observations.shape[-1])
        log_temperature = jnp.log(jnp.asarray(config.entropy_temperature, jnp.float32))
        return State(begin(adam, params), begin(adam_of_temperature, log_temperature))

    def update(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        rows, _ = batch
        label_key, dropout_key = jax.random.split(key)
        window = window_of(rows, labels, label_key)
        there = window.there.reshape(-1).astype(jnp.float32)
        temperature = jnp.exp(state.temperature.params)

        def mean_loss(params: Any) -> tuple[Array, dict[str, Array]]:
            predicted: Any = network.apply(
                params, window, training=True, rngs={"dropout": dropout_key}
            )
            mean, log_std, logits, actions, costs = (
                each.reshape(-1, *each.shape[2:]) for each in (*predicted, rows.actions, rows.costs)
            )
            of_actions = jax.vmap(action_loss, in_axes=(0, 0, 0, None))(
                mean, log_std, actions, temperature
            )
            parts = {
                "policy_loss": (there * of_actions).sum() / there.sum(),
                "cost_loss": (there * jax.vmap(cost_loss)(logits, costs)).mean(),
                "entropy": (there * jax.vmap(entropy)(log_std)).sum() / there.sum(),
            }
            return parts["policy_loss"] + config.cost_loss_weight * parts["cost_loss"], parts

        policy, _, parts = descend(adam, state.policy, mean_loss)
        excess = parts["entropy"] + action_dim  # the target is -action_dim

        def loss_of_temperature(log_temperature: Array) -> tuple[Array, None]:
            return temperature_loss(log_temperature, excess), None

        learned, _, _ = descend(adam_of_temperature, state.temperature, loss_of_temperature)
        return State(policy, learned), {**parts, "temperature": temperature}

    lengths = np.bincount(problem.episode)
    weights = (labels.weights / lengths)[problem.episode]
    states, curve = fit(
        init,
        update,
        rows_of(problem, data),
        row_weights=np.broadcast_to(weights, (config.seeds, weights.size)),
        batch_size=config.batch_windows,
        window_steps=config.context_steps,
    )
    return Trained(states.policy.params, stored, curve)


def _network(
    config: Mapping[str, Any], action_dim: int, dropout: float = 0.0, precision: str = "float32"
) -> DecisionTransformer:
    return DecisionTransformer(
        action_dim=action_dim,
        horizon_steps=config["horizon_steps"],
        blocks=config["transformer_blocks"],
        units=config["transformer_units"],
        heads=config["attention_heads"],
        dropout=dropout,
        reward_scale=config["reward_scale"],
        product_precision=precision,
    )


def _fresh(network: DecisionTransformer, key: Array, observation_dim: int) -> Any:
    """First parameters. Consumes `key`."""
    one = jnp.zeros((1, 1))
    window = Window(
        returns=one,
        costs=one,
        observations=jnp.zeros((1, 1, observation_dim)),
        actions=jnp.zeros((1, 1, network.action_dim)),
        time=jnp.zeros((1, 1), jnp.int32),
        there=jnp.ones((1, 1), bool),
    )
    return network.init(key, window)


def agent(directory: Path, config: dict[str, Any], acting: Acting) -> Agent:
    """The policy in a folder. It acts by the Gaussian's mean, clipped to [-1, 1].

    Raises:
        InputError: a file is missing, cut short or of other shapes.
    """
    names = "observation_dim", "action_dim", "horizon_steps", *SIZES
    observation_dim, action_dim, _, steps, *_ = (
        checkpoint.size(config, name, directory) for name in names
    )
    for name in ("reward_scale", "target_return", "target_cost"):
        if not isinstance(config.get(name), int | float):
            raise InputError(f"{directory / checkpoint.CONFIG}: `{name}` must be a number")
    network = _network(config, action_dim)
    params = actors.load(directory, config, lambda key: _fresh(network, key, observation_dim))
    target_return, target_cost = (
        config[name] if own is None else own for name, own in dataclasses.asdict(acting).items()
    )

    def initial_memory() -> Memory:
        nothing = jnp.zeros(steps)
        observations, actions = (jnp.zeros((steps, dim)) for dim in (observation_dim, action_dim))
        return Memory(nothing, nothing, observations, actions)

    def act(params: Any, memory: Memory, step: Step, key: Array) -> tuple[Array, Memory]:
        begins = step.time == 0
        seen = Memory(
            returns=jnp.where(begins, target_return, memory.returns[-1] - step.reward),
            costs=jnp.where(begins, target_cost, memory.costs[-1] - step.cost),
            observations=step.observation,
            actions=jnp.zeros(action_dim),
        )
        memory = jax.tree.map(lambda old, new: jnp.append(old[1:], new[None], 0), memory, seen)
        time = step.time + jnp.arange(1 - steps, 1)
        window = Window(*memory, time=time, there=time >= 0)
        batch = jax.tree.map(lambda leaf: leaf[None], window)
        mean: Any = network.apply(params, batch, method="last_mean")
        action = jnp.clip(mean[0], -1, 1)
        return action, memory._replace(actions=memory.actions.at[-1].set(action))

    return Agent(params, action_dim, initial_memory, act)
