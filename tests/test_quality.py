"""Time to quality: curves and clocks by hand, the stages against `fit`, the loop's acting."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configured import section
from oracles import drawn_params

from benchmarks import ways
from benchmarks.quality import Quality, Stopwatch, curve, stops, time_to, times_sooner
from benchmarks.reference_loop import ReferenceLoop
from benchmarks.ways import Problem, Sizes, Stages
from fisor.config.acting import Acting
from fisor.config.evaluation import EvaluationStage
from fisor.config.feasibility import FeasibilityStage
from fisor.config.params import Params
from fisor.config.policy import PolicyStage
from fisor.config.reward import RewardStage
from fisor.critics import feasibility, pair, reward
from fisor.critics.trained import CriticNetworks, TrainedCritic
from fisor.data.transitions import Transitions
from fisor.policies import agent, diffusion, regression
from fisor.policies.stored import PolicyNetworks, PolicyParams
from fisor.policies.weights import data_weights
from fisor.training.fit import fit

GOOD = Quality(reward_at_least=0.2, cost_at_most=0.005)
# Minutes, reward, cost, by hand: unsafe, poor, good, good.
CURVE = [(1.0, 0.9, 0.006), (2.0, 0.199, 0.0), (4.0, 0.2, 0.005), (8.0, 0.5, 0.0)]


def points(curve: list[tuple[float, float, float]]) -> list[dict[str, Any]]:
    found = [{"minutes": m, "reward": r, "cost": c} for m, r, c in curve]
    return [point | {"reached": GOOD.reached(point)} for point in found]


def test_minutes_to_quality_are_those_of_the_first_good_point() -> None:
    """By hand: a reward at the bound and a cost at the bound are good, neither is alone."""
    assert [point["reached"] for point in points(CURVE)] == [False, False, True, True]
    assert time_to(points(CURVE)) == {"minutes": 4.0, "not_yet_at": 2.0}
    assert time_to(points(CURVE[2:])) == {"minutes": 4.0, "not_yet_at": None}
    assert time_to(points(CURVE[:2])) == {"minutes": None, "not_yet_at": 2.0}


def test_how_many_times_sooner_has_two_ends() -> None:
    """By hand: good at half a minute against good between 2 and 4, or not within 10."""
    fast = {"minutes": 0.5, "not_yet_at": None}
    assert times_sooner(fast, time_to(points(CURVE)), 8.0) == {"at_least": 4.0, "at_most": 8.0}
    never = time_to(points(CURVE[:2]))
    assert times_sooner(fast, never, 10.0) == {"at_least": 20.0}
    assert times_sooner(never, fast, 10.0) is None


def test_stops_grow_in_whole_rounds() -> None:
    """By hand: 1.25 times the one before, rounded up to 500s; the end is always one."""
    assert list(stops(500, 1.25, 5200)) == [500, 1000, 1500, 2000, 2500, 3500, 4500, 5200]
    assert list(stops(500, 1.25, 300)) == [300]
    assert list(stops(100, 2.0, 800)) == [100, 200, 400, 800]


class Timed:
    """A way whose steps take 30 seconds each of a clock that its tests read."""

    def __init__(self) -> None:
        self.steps, self.now = 0, 1000.0

    def advance(self, steps: int, progress: Callable[[int], object]) -> None:
        self.steps += steps
        self.now += 30.0 * steps
        progress(steps)

    def agent(self) -> Any:
        self.now += 7777.0  # however long that takes
        return self

    def score(self, agent: Any) -> dict[str, Any]:
        self.now += 5555.0
        return {"reward": agent.steps / 10}


def test_evaluation_does_not_count() -> None:
    """By a clock of our own: half a minute a step, hours an evaluation; 2.2 minutes is 5 steps."""
    way = Timed()
    watch = Stopwatch(lambda: way.now)
    done: list[int] = []
    with watch.running():
        way.now += 12.0  # its start counts
    found = list(curve(way, watch, [1, 4, 8, 100], 2, 2.6, way.score, done.append))
    assert [point["steps"] for point in found] == [1, 4, 6]
    assert [point["minutes"] for point in found] == pytest.approx([0.7, 2.2, 3.2])
    assert [point["reward"] for point in found] == [0.1, 0.4, 0.6]
    assert done == [1, 2, 1, 2]


def test_compilation_is_told_apart() -> None:
    """What is compiled within counts, once, and not what is compiled outside."""
    watch = Stopwatch()
    with watch.running():
        jax.jit(lambda x: x * 3.5 + 0.25)(1.0)
    compiling = watch.compiling_minutes
    assert 0 < compiling <= watch.minutes
    jax.jit(lambda x: x * 4.5 + 0.75)(1.0)
    with watch.running():
        pass
    assert watch.read() == {"minutes": watch.minutes, "compiling_minutes": compiling}


# Of trainings -------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "seeds": 2,
    "log_every_updates": 4,
    "learning_rate": 1e-3,
    "cosine_decay": True,
    "soft_update": 0.1,
    "value_batch_size": 8,
    "hidden_layers": 2,
    "hidden_units": 8,
    "value_scale": 2,
    "policy_batch_size": 8,
    "policy_blocks": 1,
    "policy_units": 8,
    "policy_dropout": 0.0,
    "draw_by_weight": True,
}


@pytest.fixture
def problem(random_transitions: Callable[..., Transitions]) -> Problem:
    """Sixty unlike transitions in episodes of three."""
    return Problem(
        random_transitions(60),
        np.repeat(np.arange(20), 3),
        1.0,
        section(EvaluationStage),
        section(Acting),
    )


@pytest.mark.slow
def test_the_stages_are_the_pipelines(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 1 alone gets what `fit` gives it among two, stage after stage as the pipeline does."""
    monkeypatch.setattr(ways, "CHUNKS", dict.fromkeys(ways.CHUNKS, 4))
    sizes = Sizes(
        section(FeasibilityStage, **SMALL, training_steps=8),
        section(RewardStage, **SMALL, training_steps=4),
        section(PolicyStage, **SMALL, training_steps=4),
    )
    data = problem.data
    critics = []
    for module, config, rows in (
        (feasibility, sizes.feasibility, feasibility.learned_from(sizes.feasibility, data)),
        (reward, sizes.reward, reward.learned_from(data)),
    ):
        given: Any = module.init(config, data), module.update(config)
        states, _ = fit(*given, rows, config=config, batch_size=8, name="oracle")
        states = module.finished(config, states)
        networks, about = CriticNetworks.of_size(2, 8), pair.checkpoint_config(config, data)
        critics.append(TrainedCritic(networks, states.q_target, states.v, about))
    config = sizes.policy
    w = data_weights(config, data, problem.episode, *critics)
    expected, _ = fit(
        regression.init(config, data), regression.update(config, 2), regression.learned_from(data),
        np.ones_like(w), w, config=config, batch_size=8, name="oracle",
    )  # fmt: skip

    alone = Sizes(*(dataclasses.replace(each, seeds=1) for each in sizes))
    stages = Stages(problem, alone, [1])
    done: list[int] = []
    stages.take_turn(alone.steps, done.append)
    assert done == [4, 4, 4, 4]
    found = stages.agent()
    assert found.seeds == 1
    oracle = PolicyParams(expected.score_average, critics[0].q, critics[0].v, critics[1].q)
    for mine, theirs in zip(jax.tree.leaves(found.params), jax.tree.leaves(oracle), strict=True):
        np.testing.assert_allclose(mine[0], theirs[1], rtol=1e-3, atol=1e-4)
    # Another turn goes on from here: another policy, not yet far from this one.
    stages.take_turn((4, 4, 4), done.append)
    before, after = (
        np.ravel(p["params"]["Dense_4"]["kernel"])
        for p in (found.params.score, stages.agent().params.score)
    )
    assert 0 < np.abs(after - before).max() < 0.05


def projects_params(loop: Any, action_dim: int, score: Any, q: Any) -> tuple[Any, Any]:
    """The loop's score network and twins as parameters of the project's, one block."""
    own, twins = loop[0]["params"], loop[1]["params"]
    first = own["Dense_2"]["kernel"]
    inputs = first.shape[0] - 128  # the encoding of the level comes last
    layers = {
        "FourierFeatures_0": {"frequencies": own["frequencies"]},
        "LayerNorm_0": own["LayerNorm_0"],
        "Dense_0": own["Dense_1"],
        "Dense_1": {"kernel": first[inputs:]},
        "Dense_2": own["Dense_0"],
        "Dense_3": {"kernel": first[:inputs], "bias": own["Dense_2"]["bias"]},
        "Dense_4": own["Dense_4"],
        "Dense_5": own["Dense_3"],
        "Dense_6": own["Dense_5"],
    }
    (name,) = q["params"]
    converted = {"params": layers}, {"params": {name: twins}}
    assert jax.tree.map(jnp.shape, converted) == jax.tree.map(jnp.shape, (score, q))
    assert layers["Dense_6"]["bias"].shape == (action_dim,)
    return converted


def test_the_loops_policy_acts_by_the_papers_rule(
    problem: Problem, small_params: Callable[..., Params]
) -> None:
    """With networks drawn anew, its actions are those of the project's networks and rule.

    It acts by the moving average of the score network and by the target twins of Q_h.
    """
    config = small_params(policy_dropout=0.0, N=4)
    loop = ReferenceLoop(config, problem.data, ("feasibility",), policy=True)
    learner = loop._learner
    q, v, target, *adam = learner.critics["feasibility"]
    average, target = (
        drawn_params(lambda _, tree=tree: tree, seed=7) for tree in (learner.average, target)
    )
    loop._learner = learner._replace(
        average=average, critics={"feasibility": (q, v, target, *adam)}
    )
    found = loop.agent(config.N, config.sampler)
    score_network = dataclasses.replace(regression.score_network(2, config), dropout=0.0)
    critic = CriticNetworks.of_size(config.hidden_layers, config.hidden_units)
    networks = PolicyNetworks(score_network, diffusion.schedule(config.T), critic, critic)
    score = score_network.init_params(jax.random.key(0), 3)
    q, v = critic.init_params(jax.random.key(0), 3, 2)
    of_seed = jax.tree.map(lambda leaf: leaf[0], found.params)
    converted, q_h = projects_params(of_seed, 2, score, q)
    params = PolicyParams(converted, q_h, v, q)
    for row in range(5):
        observation, key = problem.data.observations[row], jax.random.key(row)
        expected = agent.act(networks, params, observation[None], key, config)[0]
        step = agent.Step(observation, 0.0, 0.0, 0)
        action, memory = found.act(of_seed, (), step, key)
        assert memory == ()
        np.testing.assert_allclose(action, expected, rtol=1e-3, atol=1e-4)


def test_the_loops_seed_changes_its_start(
    problem: Problem, small_params: Callable[..., Params]
) -> None:
    """Two seeds start apart; the same one starts at the same."""

    def start(seed: int) -> np.ndarray:
        loop = ReferenceLoop(small_params(), problem.data, ("reward", "feasibility"), True, seed)
        leaves = jax.tree.leaves(loop.agent(2, "ddpm").params)
        return np.concatenate([np.ravel(leaf) for leaf in leaves])

    np.testing.assert_array_equal(start(0), start(0))
    assert np.abs(start(0) - start(1)).mean() > 0.01
