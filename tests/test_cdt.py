"""CDT as a whole: what it learns, how it acts on a folder's policy, what it remembers."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configured import configured

import fisor
from fisor.agents import ACTING, TRAINED, Agent, Step, load_agent, write_acting
from fisor.baselines import cdt
from fisor.baselines.baseline import Problem, save
from fisor.config.task import Prompts
from fisor.data.transitions import Transitions
from fisor.errors import InputError
from fisor.training.fit import fit
from fisor.training.log import Curve

STEPS, EPISODES, COST = 6, 30, 10.0
SMALL = {
    "training_steps": 600,
    "log_every_updates": 10,
    "learning_rate": 5e-3,
    "dropout": 0.0,
    "batch_windows": 16,
    "context_steps": 4,
    "transformer_blocks": 1,
    "transformer_units": 16,
    "attention_heads": 2,
    "warmup_steps": 10,
}


def two_kinds() -> tuple[Transitions, Problem]:
    """Careful episodes, of actions near -0.6, and daring ones, near 0.6 and of cost 10 a step.

    Both earn 1 a step and look alike, so nothing but the cost to go tells which is which.
    """
    rows = EPISODES * STEPS
    episode = np.repeat(np.arange(EPISODES), STEPS)
    daring = episode % 2 == 1
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, rows)
    data = Transitions(
        observations=np.ones((rows, 2), np.float32),
        actions=(np.where(daring, 0.6, -0.6) + noise).astype(np.float32)[:, None],
        next_observations=np.ones((rows, 2), np.float32),
        rewards=np.ones(rows, np.float32),
        costs=np.where(daring, COST, 0.0).astype(np.float32),
        violations=None,
        terminals=np.zeros(rows, bool),
    )
    step = np.tile(np.arange(STEPS), EPISODES)
    return data, Problem(STEPS, cost_limit=5.0, episode=episode, step=step)


def learned(folder: Path, **changes: Any) -> Curve:
    """Train on both kinds of episodes, into a folder; returns the curve."""
    data, problem = two_kinds()
    config = configured("CDT", "train", cdt.Config, **{**SMALL, **changes})
    trained = cdt.train(config, problem, data, partial(fit, config=config, name="CDT"))
    save(folder, "CDT", config, data, trained)
    return trained.curve


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Curve]:
    """The folder of a policy of two seeds, and their curve."""
    folder = tmp_path_factory.mktemp("cdt")
    (folder / TRAINED).mkdir()
    curve = learned(folder / TRAINED, seeds=2)
    write_acting(folder / ACTING, {"target_return": None, "target_cost": None})
    return folder, curve


@pytest.fixture(scope="module")
def folder(run: tuple[Path, Curve]) -> Path:
    return run[0]


def actions_of(agent: Agent) -> np.ndarray:
    """Actions `[STEPS, seeds]` of an episode of each seed, in the world of `two_kinds`."""
    seeds = agent.seeds
    memory = jax.tree.map(lambda leaf: jnp.stack([leaf] * seeds), agent.initial_memory())
    act, keys = jax.jit(jax.vmap(agent.act)), jax.random.split(jax.random.key(0), seeds)
    step = Step(jnp.ones((seeds, 2)), jnp.zeros(seeds), jnp.zeros(seeds), jnp.zeros(seeds, int))
    actions = []
    for _ in range(STEPS):
        action, memory = act(agent.params, memory, step, keys)
        actions.append(action[:, 0])
        costs = jnp.where(actions[-1] > 0, COST, 0.0)
        step = Step(step.observation, jnp.ones(seeds), costs, step.time + 1)
    return np.stack(actions)


def test_the_cost_that_is_asked_for_decides(folder: Path) -> None:
    """Asked for no cost both seeds are careful at every step, asked for a daring one's, daring."""
    for cost, action in ((0.0, -0.6), (COST * STEPS, 0.6)):
        agent = load_agent(folder / TRAINED, {"target_return": None, "target_cost": cost})
        np.testing.assert_allclose(actions_of(agent), action, atol=0.3)


def test_the_folder_acts_as_it_was_evaluated(folder: Path) -> None:
    """Unasked for the dataset's best return within the limit, 6, and the limit, 5.

    `act` says what to use in its place.
    """
    config = json.loads((folder / TRAINED / "config.json").read_text(encoding="utf-8"))
    assert (config["target_return"], config["target_cost"]) == (6.0, 5.0)
    policy, nothing = fisor.load_policy(folder, seed=1), np.zeros(3, np.float32)
    step = Step(np.ones((3, 2), np.float32), nothing, nothing, nothing.astype(np.int32))
    actions, memory = policy.step(policy.initial_memory(3), step, jax.random.key(0))
    assert actions.shape == (3, 1)
    assert memory.returns[:, -1].tolist() == [6.0, 6.0, 6.0]
    assert memory.costs[:, -1].tolist() == [5.0, 5.0, 5.0]
    with pytest.raises(TypeError, match="use initial_memory\\(\\) and step\\(\\)"):
        policy.act(step.observation, jax.random.key(0))


@pytest.fixture(scope="module")
def agent(folder: Path) -> Agent:
    return load_agent(folder / TRAINED, {"target_return": 6.0, "target_cost": 9.0})


def seen(agent: Agent, steps: list[tuple[float, float, float, int]]) -> list[tuple[Any, Any]]:
    """What one episode's agent does at steps (observation, reward, cost, time), and remembers."""
    params = jax.tree.map(lambda stacked: stacked[0], agent.params)
    memory, done = agent.initial_memory(), []
    for observation, reward, cost, time in steps:
        step = Step(
            jnp.full(2, observation), jnp.asarray(reward), jnp.asarray(cost), jnp.asarray(time)
        )
        action, memory = jax.jit(agent.act)(params, memory, step, jax.random.key(0))
        done.append((np.asarray(action), jax.tree.map(np.asarray, memory)))
    return done


def test_it_remembers_what_is_left_of_the_prompt(agent: Agent) -> None:
    """By hand: 6 and 9 less what was seen, the last four steps, the actions that it took."""
    steps = [(0.1, 0, 0, 0), (0.2, 2, 1, 1), (0.3, 0.5, 0, 2), (0.4, 0, 4, 3), (0.5, 1, 5, 4)]
    done = seen(agent, steps)
    memory = done[-1][1]
    assert memory.returns.tolist() == [4.0, 3.5, 3.5, 2.5]
    assert memory.costs.tolist() == [8.0, 8.0, 4.0, -1.0]
    np.testing.assert_allclose(memory.observations[:, 0], [0.2, 0.3, 0.4, 0.5], rtol=1e-6)
    assert np.array_equal(memory.actions, [action for action, _ in done[1:]])


def test_an_episode_that_begins_anew_remembers_nothing(agent: Agent) -> None:
    """Its actions are the very ones of the episode alone, whatever was before time 0."""
    second = [(0.7, 5, 5, 0), (0.8, 1, 0, 1), (0.9, 1, 2, 2)]
    first = [(0.1, 0, 0, 0), (0.2, 2, 1, 1), (0.3, 0.5, 0, 2)]
    after, alone = seen(agent, first + second)[3:], seen(agent, second)
    for (action, _), (expected, _) in zip(after, alone, strict=True):
        assert np.array_equal(action, expected)
    assert alone[0][1].returns[-1] == 6.0


@pytest.mark.slow
def test_a_seed_learns_the_same_alone(run: tuple[Path, Curve], tmp_path: Path) -> None:
    """Seed 0's first ten updates: the same as beside another but for products' rounding.

    XLA multiplies one matrix by other code than two at once, so the last bit may differ.
    """
    alone, beside = learned(tmp_path, seeds=1, training_steps=10), run[1]
    assert beside.updates[0] == 10
    for name, values in alone.metrics.items():
        np.testing.assert_allclose(values[0, 0], beside.metrics[name][0, 0], rtol=1e-4)
        assert abs(values[0, 0] - beside.metrics[name][0, 1]) > 1e-3 or name == "temperature"


def given_to_fit(problem: Problem, data: Transitions, **changes: Any) -> tuple[Any, Any]:
    """What `train` gives the training loop, and what it stores for the agent."""
    given = {}

    def no_fit(*_: Any, **options: Any) -> tuple[Any, Any]:
        given.update(options)
        nothing = cdt.Learner(params={}, adam=None)
        return cdt.State(nothing, nothing), None

    config = configured("CDT", "train", cdt.Config, **{**SMALL, **changes})
    return given, cdt.train(config, problem, data, no_fit).config


def test_published_prompts_are_what_is_asked_for() -> None:
    """The task's own stand in the place of the dataset's."""
    data, problem = two_kinds()
    prompts = Prompts(target_return=7.5, frontier_degree=0, highest_return=8.0, return_decrease=1.0)
    _, stored = given_to_fit(problem._replace(prompts=prompts), data)
    assert stored["target_return"] == 7.5


def test_rows_are_drawn_by_what_their_episode_does_not_cost() -> None:
    """70 for careful episodes and 10 for daring ones, of six rows each; windows of four steps."""
    data, problem = two_kinds()
    given, _ = given_to_fit(problem, data, augmented_share=0.0, seeds=2)
    expected = np.where(problem.episode % 2 == 1, 10 / 6, 70 / 6)
    np.testing.assert_allclose(given["row_weights"], np.stack([expected] * 2))
    assert given["window_steps"] == 4


def test_data_that_would_never_be_drawn_is_refused() -> None:
    """Where every episode costs as much as highest_sampled_cost, the message names that."""
    data, problem = two_kinds()
    data = data._replace(costs=np.full_like(data.costs, 100.0))
    config = configured("CDT", "train", cdt.Config, **SMALL)
    with pytest.raises(InputError, match=r"highest_sampled_cost must be above .* 600, not 70"):
        cdt.train(config, problem, data, lambda *_, **__: None)


def test_heads_must_divide_the_width() -> None:
    """16 entries cannot be shared by 3 heads."""
    with pytest.raises(ValueError, match="3 does not divide 16"):
        configured("CDT", "train", cdt.Config, **{**SMALL, "attention_heads": 3})
