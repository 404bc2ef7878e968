"""The on-policy learner by hand-computed numbers, and on a cart with a known answer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from example_environment import Cart

from fisor.collect import advantages, learner, pid, ppo
from fisor.collect.episodes import Job
from fisor.collect.gaussian_actor import GaussianActor
from fisor.collect.schedules import SCHEDULES, Schedule, free_then_tightened, low
from fisor.envs.gymnasium import RegisteredSimulator
from fisor.envs.simulators import SimulatedEnv

HORIZON_STEPS = 25


def cart() -> SimulatedEnv:
    return SimulatedEnv(RegisteredSimulator(Cart(), "Cart-v0"), HORIZON_STEPS)


def test_advantages_by_hand() -> None:
    """GAE with gamma 0.5 and lambda 0.95: a timeout bootstraps, a terminal state does not.

    The deltas: 1 + 0.5*4 - 2, 2 + 0.5*6 - 4 (timeout), 3 - 6 (terminal), 1 + 0.5*2 - 1.
    """
    found = advantages.estimate_advantages(
        rewards=jnp.array([1.0, 2.0, 3.0, 1.0]),
        values=jnp.array([2.0, 4.0, 6.0, 1.0]),
        next_values=jnp.array([4.0, 6.0, 100.0, 2.0]),
        terminals=jnp.array([False, False, True, False]),
        ends=jnp.array([False, True, True, False]),
        discount=0.5,
    )
    np.testing.assert_allclose(found, [1 + 0.475 * 1, 1, -3, 1], rtol=1e-6)


def test_standardised_by_hand() -> None:
    """Mean 0 and deviation 1; deviations below 0.05 count as 0.05: noise stays small."""
    wide = advantages.standardised(jnp.array([1.0, 3.0, 1.0, 3.0]))
    np.testing.assert_allclose(wide, [-1, 1, -1, 1], rtol=1e-6)
    noise = advantages.standardised(jnp.array([2.0, 2.01, 2.0, 2.01]))
    np.testing.assert_allclose(noise, [-0.1, 0.1, -0.1, 0.1], rtol=1e-4)


def test_costs_that_nobody_saw_hardly_steer() -> None:
    """Without a cost in sight the value network's error must not outweigh rewards.

    Costs are 0, and so are their advantages but for an error of 0.002: even at the highest
    multiplier, 10, what they take off is less than half of a standard deviation of the reward's.
    """
    draw = np.random.default_rng(0)
    reward = advantages.standardised(jnp.asarray(draw.normal(size=1000)))
    cost = advantages.standardised(jnp.asarray(0.002 * draw.normal(size=1000)))
    assert np.corrcoef(reward - 10 * cost, reward)[0, 1] > 0.9


def test_multiplier_by_hand() -> None:
    """Costs 30 and then 40 against a limit of 20, in units of 10: P 0.5, I 0.06, D 0.2."""
    memory = pid.Multiplier(jnp.float32(0), jnp.float32(jnp.inf))
    memory, first = pid.control(memory, jnp.float32(30), jnp.float32(20), 100)
    assert first == pytest.approx(0.5 * 1 + 0.06 * 1)
    memory, second = pid.control(memory, jnp.float32(40), jnp.float32(20), 100)
    assert second == pytest.approx(0.5 * 2 + 0.06 * 3 + 0.2 * 1)
    assert memory.integral == pytest.approx(0.18)
    # Without a limit nothing is left of it but the integral, cut by twice 0.06.
    memory, third = pid.control(memory, jnp.float32(90), jnp.float32(jnp.inf), 100)
    assert memory.integral == pytest.approx(0.06)
    assert third == 0


def test_multiplier_is_bounded() -> None:
    """However long the cost is too high, the multiplier ends at 10; it is never negative."""
    memory = pid.Multiplier(jnp.float32(0), jnp.float32(0))
    for _ in range(200):
        memory, multiplier = pid.control(memory, jnp.float32(100), jnp.float32(0), 100)
    assert multiplier == 10
    _, multiplier = pid.control(
        pid.Multiplier(jnp.float32(0), jnp.float32(0)), jnp.float32(0), jnp.float32(50), 100
    )
    assert multiplier == 0


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_limits_stay_within_the_plane(schedule: object) -> None:
    """A limit is a share of the highest cost, or costs are free."""
    assert callable(schedule)
    for done in np.linspace(0, 0.999, 50):
        limit = schedule(float(done))
        assert 0 <= limit <= 1 or np.isinf(limit)


def test_actor_is_the_network_that_is_trained() -> None:
    """NumPy's actor without noise gives what JAX's network gives."""
    state = ppo.init(jax.random.key(0), 3, 2)
    state = state._replace(
        seen=jnp.float32(4), mean=jnp.array([1.0, 2.0, 3.0]), squares=jnp.array([4.0, 16.0, 1.0])
    )
    networks = jax.device_get(state.networks)
    actor = GaussianActor(
        networks.actor, np.zeros(2, np.float32), np.asarray(state.mean), ppo.observation_std(state)
    )
    observation = np.array([0.5, 4.0, 100.0], np.float32)
    inputs = np.clip((observation - [1, 2, 3]) / (np.array([1, 2, 0.5]) + 1e-3), -10, 10)
    expected = ppo.mlp(state.networks.actor, jnp.asarray(inputs, jnp.float32), jnp.tanh)
    act = actor.start(cart(), np.random.default_rng(0))
    np.testing.assert_allclose(act(observation), expected, rtol=1e-4, atol=1e-6)


def learn(schedule: Schedule, done: float, iterations: int) -> tuple[float, float]:
    """Mean return and cost of the last roll-out, with the limit held where `done` has it."""
    cart_learner = learner.Learner(
        1,
        1,
        schedule=SCHEDULES.index(schedule),
        share_steps=1000,
        horizon_steps=HORIZON_STEPS,
        highest_cost=16,
        discount=0.99,
        seed=0,
    )
    environment = cart()
    state = cart_learner.init()
    for iteration in range(iterations):
        streams = [job(environment) for job in cart_learner.jobs(state, iteration)]
        state = cart_learner.learn(state, iteration, int(1000 * done), streams)
    episodes = sum(int(stream.timeouts.sum()) for stream in streams)
    return (
        sum(float(stream.rewards.sum()) for stream in streams) / episodes,
        sum(float(stream.costs.sum()) for stream in streams) / episodes,
    )


@pytest.mark.slow
def test_learner_without_a_limit_goes_far() -> None:
    """Full speed for 25 steps covers 2.5 metres and passes the wall after about 10."""
    return_, cost = learn(free_then_tightened, done=0.0, iterations=14)
    assert return_ > 2.2
    assert cost > 10


def test_learner_with_a_limit_stops_at_the_wall() -> None:
    """Held to hardly any cost, it still covers most of the metre up to the wall."""
    return_, cost = learn(low, done=0.9, iterations=30)
    assert 0.5 < return_ < 1.1
    assert cost < 2


def test_episodes_follow_from_the_entropy_alone() -> None:
    """The same job gives the same numbers whatever ran before; another start, other numbers."""
    actor = GaussianActor(
        ((np.ones((1, 1), np.float32), np.zeros(1, np.float32)),),
        *(np.ones(1, np.float32), np.zeros(1, np.float32), np.ones(1, np.float32)),
    )
    environment = cart()
    first = Job(actor, (0, 1, 2), 30)(environment)
    other = Job(actor, (0, 1, 3), 30)(environment)
    again = Job(actor, (0, 1, 2), 30)(environment)
    assert first.rewards.size == 2 * HORIZON_STEPS  # whole episodes until 30 steps are done
    assert first.timeouts.nonzero()[0].tolist() == [24, 49]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    assert not np.array_equal(first.actions, other.actions)
    assert not np.array_equal(first.observations[0], first.observations[25])
    assert np.abs(first.actions).max() > 1  # what the learner needs, not what was applied
