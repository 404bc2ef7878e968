"""PointRobot: its dynamics and its gymnasium environment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from fisor.envs.point_robot import dynamics
from fisor.envs.point_robot.suite import PointRobotBatch, PointRobotEnv

DT = 0.05
HAZARDS = np.array([[0.4, -1.2], [-0.4, 1.2]])
GOAL = np.array([2.2, 2.2])


def stepped(state: list[float], action: list[float]) -> dynamics.Step:
    """What one step of one robot gives, as NumPy's arrays."""
    result = dynamics.step(jnp.asarray([state]), jnp.asarray([action]))
    return dynamics.Step(*(np.asarray(field)[0] for field in result))


# Dynamics


# The checker advises against unbounded observations, which these are.
@pytest.mark.filterwarnings("ignore:.*Box observation space m.*imum value is:UserWarning")
def test_gymnasium_accepts_the_environment() -> None:
    """Spaces, seeding and return values are as gymnasium wants them."""
    check_env(PointRobotEnv(), skip_render_check=True)


def test_one_step_by_hand() -> None:
    """From (-2, 0), speed 1, heading pi/2: 0.05 up, 0.05 * 0.5 faster, turned 0.05 * 0.4 right.

    The goal is (4.2, 2.2) away before the step and (4.2, 2.15) after it.
    """
    result = stepped([-2.0, 0.0, 1.0, np.pi / 2], [0.5, -0.4])
    np.testing.assert_allclose(result.state, [-2.0, 0.05, 1.025, np.pi / 2 - 0.02], atol=1e-6)
    gained = np.sqrt(4.2**2 + 2.2**2) - np.sqrt(4.2**2 + 2.15**2)
    assert result.reward == pytest.approx(gained, abs=1e-6)
    assert result.cost == 0
    assert not result.terminated
    assert not result.reached_goal


def test_actions_are_clipped() -> None:
    """An action beyond [-1, 1] acts like the bound."""
    state = [-2.0, 0.0, 1.0, 0.3]
    for beyond, bound in (([7.0, -3.0], [1.0, -1.0]), ([-1.5, 1.01], [-1.0, 1.0])):
        np.testing.assert_array_equal(stepped(state, beyond).state, stepped(state, bound).state)


def test_cost_is_the_depth_in_a_hazard_after_the_step() -> None:
    """From 0.85 to the right of the first hazard's centre, 0.1 to the left: 0.05 deep then."""
    outside, speed = [0.4 + 0.85, -1.2], 2.0
    assert float(dynamics.violation(jnp.asarray(outside))) == pytest.approx(-0.05, abs=1e-6)
    result = stepped([*outside, speed, np.pi], [0.0, 0.0])
    assert result.cost == pytest.approx(0.05, abs=1e-6)
    assert not result.terminated  # a violation does not end the episode
    leaving = stepped([0.4 + 0.75, -1.2, speed, 0.0], [0.0, 0.0])
    assert leaving.cost == 0


@pytest.mark.parametrize("hazard", [0, 1])
def test_violation_is_of_the_nearest_hazard(hazard: int) -> None:
    """In a hazard's centre h is its radius; 2 to its left it is 0.8 - 2."""
    centre = HAZARDS[hazard].tolist()
    states = jnp.asarray([[*centre, 0.0, 0.0], [centre[0] - 2, centre[1], 0.0, 0.0]])
    np.testing.assert_allclose(dynamics.violation(states), [0.8, -1.2], atol=1e-6)


def test_reaching_the_goal_ends_the_episode_with_a_bonus() -> None:
    """From 0.35 to 0.25 of the goal's centre, whose radius is 0.3: 0.1 gained and 1 more."""
    result = stepped([2.2, 2.2 - 0.35, 2.0, np.pi / 2], [0.0, 0.0])
    assert result.terminated
    assert result.reached_goal
    assert result.reward == pytest.approx(1.1, abs=1e-6)


@pytest.mark.parametrize(
    ("position", "heading"),
    [
        ((2.95, 0.0), 0.0),
        ((-2.95, 0.0), np.pi),
        ((0.0, 2.95), np.pi / 2),
        ((0.0, -2.95), -np.pi / 2),
    ],
    ids=["right", "left", "top", "bottom"],
)
def test_leaving_the_box_ends_the_episode_without_one(
    position: tuple[float, float], heading: float
) -> None:
    """From 0.05 inside of each edge, a step of 0.1 leaves the box and one of 0.04 does not."""
    left = stepped([*position, 2.0, heading], [0.0, 0.0])
    assert left.terminated
    assert not left.reached_goal
    assert abs(left.reward) < 0.11
    assert not stepped([*position, 0.8, heading], [0.0, 0.0]).terminated


def test_observation_by_hand() -> None:
    """From (0.4, 1.2) heading up: one hazard 2.4 straight behind, the other 0.8 to the left."""
    seen = np.asarray(dynamics.observe(jnp.asarray([0.4, 1.2, 0.7, np.pi / 2])))
    behind, on_the_left = [2.4, -1.0, 0.0], [0.8, 0.0, 1.0]
    expected = [0.4, 1.2, 0.7, 0.0, 1.0, *behind, *on_the_left]
    np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_batch_equals_single_environments() -> None:
    """Robots that step together do what each does alone, for 40 steps from 5 seeds."""
    seeds = np.arange(5)
    draw = np.random.default_rng(3)
    batch, singles = PointRobotBatch(), [PointRobotEnv() for _ in seeds]
    together = batch.reset(seeds)
    alone = [env.reset(seed=int(seed))[0] for env, seed in zip(singles, seeds, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    for _ in range(40):
        actions = draw.uniform(-1, 1, (5, 2)).astype(np.float32)
        result, observed = batch.step(actions)
        steps = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        observations, rewards, terminated, _, infos = zip(*steps, strict=True)
        np.testing.assert_allclose(observed, observations, atol=1e-5)
        np.testing.assert_allclose(result.reward, rewards, atol=1e-5)
        np.testing.assert_array_equal(result.terminated, terminated)
        np.testing.assert_allclose(result.cost, [info["cost"] for info in infos], atol=1e-5)
        for name in ("reached_goal", "left_box"):
            alone_ended = [info[name] for info in infos]
            np.testing.assert_array_equal(getattr(result, name), alone_ended)


def test_reset_seed_reproduces_the_start() -> None:
    """A seed stands for one start, in the environment and in the batch; other seeds differ."""
    env = PointRobotEnv()
    first, other, again = (env.reset(seed=seed)[0] for seed in (5, 6, 5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(env.reset()[0], env.reset()[0])
    np.testing.assert_allclose(PointRobotBatch().reset(np.array([6, 5])), [other, first], atol=1e-6)


def test_episode_is_cut_at_the_time_limit() -> None:
    """A robot that stands still is truncated, not terminated, by its 300th step."""
    env = PointRobotEnv()
    env.reset(seed=0)
    env._batch._states = jnp.asarray([[-2.5, 0.0, 0.0, 0.0]])
    ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(300)]
    assert ends == [(False, False)] * 299 + [(False, True)]


def test_starts_fill_their_ranges() -> None:
    """Positions in the box, speeds 0 to 2, headings all round: mean and extremes of 4000."""
    starts = np.asarray(dynamics.sample_starts(jax.random.key(1), 4000))
    low, high = np.array([-3, -3, 0, -np.pi]), np.array([3, 3, 2, np.pi])
    assert (starts >= low).all()
    assert (starts <= high).all()
    width = high - low
    assert (starts.min(0) < low + 0.01 * width).all()
    assert (starts.max(0) > high - 0.01 * width).all()
    # The standard error of a uniform mean is width / sqrt(12 * 4000); five of them.
    assert (np.abs(starts.mean(0) - (low + high) / 2) < 5 * width / np.sqrt(48_000)).all()
