"""PointRobot: its dynamics, the truth about its feasible region, and the data collected on it."""

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from fisor.collect import point_robot as collection
from fisor.envs import point_robot
from fisor.envs.point_robot import PointRobotBatch, PointRobotEnv
from fisor.envs.point_robot_truth import brake_and_turn, least_violation, papers_violation

DT = 0.05
HAZARDS = np.array([[0.4, -1.2], [-0.4, 1.2]])
GOAL = np.array([2.2, 2.2])


def stepped(state: list[float], action: list[float]) -> point_robot.Step:
    """What one step of one robot gives, as NumPy's arrays."""
    result = point_robot.step(jnp.asarray([state]), jnp.asarray([action]))
    return point_robot.Step(*(np.asarray(field)[0] for field in result))


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
    assert float(point_robot.violation(jnp.asarray(outside))) == pytest.approx(-0.05, abs=1e-6)
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
    np.testing.assert_allclose(point_robot.violation(states), [0.8, -1.2], atol=1e-6)


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
    seen = np.asarray(point_robot.observe(jnp.asarray([0.4, 1.2, 0.7, np.pi / 2])))
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
        result = batch.step(actions)
        steps = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        observations, rewards, terminated, _, infos = zip(*steps, strict=True)
        np.testing.assert_allclose(result.observations, observations, atol=1e-5)
        np.testing.assert_allclose(result.rewards, rewards, atol=1e-5)
        np.testing.assert_array_equal(result.terminated, terminated)
        np.testing.assert_allclose(result.costs, [info["cost"] for info in infos], atol=1e-5)
        np.testing.assert_array_equal(result.reached_goal, [info["reached_goal"] for info in infos])


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
    starts = np.asarray(point_robot.sample_starts(jax.random.key(1), 4000))
    low, high = np.array([-3, -3, 0, -np.pi]), np.array([3, 3, 2, np.pi])
    assert (starts >= low).all()
    assert (starts <= high).all()
    width = high - low
    assert (starts.min(0) < low + 0.01 * width).all()
    assert (starts.max(0) > high - 0.01 * width).all()
    # The standard error of a uniform mean is width / sqrt(12 * 4000); five of them.
    assert (np.abs(starts.mean(0) - (low + high) / 2) < 5 * width / np.sqrt(48_000)).all()


# Truth


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    """2000 states over the whole box, all headings and speeds 0 to 2."""
    draw = np.random.default_rng(11)
    return draw.uniform([-3, -3, 0, -np.pi], [3, 3, 2, np.pi], (2000, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def least(states: np.ndarray) -> np.ndarray:
    return least_violation(states)


@pytest.fixture(scope="module")
def doomed(states: np.ndarray, least: np.ndarray) -> np.ndarray:
    """States that are safe and called infeasible; a richer search may free them."""
    return states[(least > 0) & (np.asarray(point_robot.violation(jnp.asarray(states))) <= 0)]


def braking_distance(speeds: np.ndarray) -> np.ndarray:
    """Distance from `speeds` to a stand: Euler's steps move at the speed before each is lost.

    With v = 0.05 n + r, 0 <= r < 0.05, they move at r, r + 0.05, ..., r + 0.05 n.
    """
    whole = np.floor(speeds / DT)
    rest = speeds - DT * whole
    return DT * ((whole + 1) * rest + DT * whole * (whole + 1) / 2)


def test_straight_at_a_hazard_the_braking_distance_decides() -> None:
    """Without turns, h* is the braking distance less the distance to the rim, if that is > 0.

    The robots stand to the right of the first hazard and head left, with nothing else in the way.
    """
    draw = np.random.default_rng(4)
    speeds = draw.uniform(0, 2, 400)
    rims = draw.uniform(0.01, 1.7, 400)
    states = np.stack([0.4 + 0.8 + rims, np.full(400, -1.2), speeds, np.full(400, np.pi)], axis=-1)
    intrusion = braking_distance(speeds) - rims
    found = least_violation(states, turns=(0.0,))
    decided = np.abs(intrusion) > 1e-4
    assert decided.mean() > 0.95
    np.testing.assert_array_equal((found > 0)[decided], (intrusion > 0)[decided])
    assert 50 < (intrusion > 0).sum() < 350  # both answers are asked for
    # Short of the centre, the stand is the deepest place.
    stands = (intrusion > 0) & (intrusion < 0.8)
    np.testing.assert_allclose(found[stands], intrusion[stands], atol=1e-4)


def test_away_from_a_hazard_the_start_decides() -> None:
    """A robot that heads straight away from the only hazard near is closest at the start."""
    states = np.array([[0.4 + 0.8 + gap, -1.2, 1.0, 0.0] for gap in (0.05, 0.3, -0.1)])
    np.testing.assert_allclose(least_violation(states, turns=(0.0,)), [-0.05, -0.3, 0.1], atol=1e-5)


def test_feasible_share_is_neither_nothing_nor_all(least: np.ndarray, doomed: np.ndarray) -> None:
    """The 2000 states hold both kinds, and safe but doomed ones, which the tests below need."""
    assert 0.7 < (least <= 0).mean() < 0.95
    assert len(doomed) > 40


def test_halving_the_segments_changes_little(
    states: np.ndarray, least: np.ndarray, doomed: np.ndarray
) -> None:
    """Turns held for 0.25 s, not 0.5 s, free less than 1 % of the states.

    What is feasible stays so, for the finer search contains the coarser one; what violates at the
    start stays infeasible. That leaves the doomed states to search.
    """
    some = slice(0, 60)
    finer = least_violation(states[some], segment_steps=5)
    assert (finer <= least[some] + 1e-5).all()
    freed = (least_violation(doomed, segment_steps=5) <= 0).sum()
    assert freed < 0.01 * len(states)


def move(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """The dynamics once more, in NumPy and float64."""
    x, y, speed, heading = states.T
    ahead = [DT * speed * np.cos(heading), DT * speed * np.sin(heading), *(DT * actions.T)]
    return np.stack([x, y, speed, heading], -1) + np.stack(ahead, -1)


def is_safe(states: np.ndarray) -> np.ndarray:
    return (np.linalg.norm(states[:, None, :2] - HAZARDS, axis=-1) >= 0.8).all(-1)


def is_over(states: np.ndarray) -> np.ndarray:
    at_goal = np.linalg.norm(states[:, :2] - GOAL, axis=-1) <= 0.3
    return at_goal | (np.abs(states[:, :2]) > 3).any(-1)


def escapes(state: np.ndarray, segments: int, segment_steps: int) -> bool:
    """Whether some drive of held accelerations and turns, then braking, violates nothing.

    Every sequence of accelerating, rolling or braking (backwards, too) and turning left, not or
    right is tried in each of `segments`; after them the robot brakes to a stand in one turn.
    """
    alive = state[None].astype(np.float64)
    choices = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2)))

    def drive(states: np.ndarray, turns: np.ndarray, brakes: np.ndarray | None, steps: int):
        for _ in range(steps):
            pedal = np.clip(-states[:, 2] / DT, -1, 1) if brakes is None else brakes
            states = move(states, np.stack([pedal, turns], -1))
            safe = is_safe(states)
            if (safe & is_over(states)).any():
                return None
            states, turns = states[safe], turns[safe]
            brakes = None if brakes is None else brakes[safe]
        return states

    for segment in range(segments + 1):
        stopped = np.repeat(alive, 3, axis=0)
        longest = int(np.ceil(np.abs(stopped[:, 2]).max(initial=0) / DT)) + 1
        halted = drive(stopped, np.tile([-1.0, 0.0, 1.0], len(alive)), None, longest)
        if halted is None or len(halted):
            return True
        if segment < segments:
            actions = np.tile(choices, (len(alive), 1))
            alive = drive(np.repeat(alive, 9, axis=0), actions[:, 1], actions[:, 0], segment_steps)
            if alive is None:
                return True
    return False


def test_accelerating_frees_few_states(states: np.ndarray, doomed: np.ndarray) -> None:
    """An independent search that may also accelerate frees less than 1 % of the states.

    Braking fully is claimed to be part of a safest manoeuvre; only doomed states could deny it.
    """
    freed = sum(escapes(state, segments=4, segment_steps=8) for state in doomed)
    assert freed < 0.01 * len(states)


def test_independent_search_frees_what_is_feasible(states: np.ndarray, least: np.ndarray) -> None:
    """The search above can answer yes: it does for states that are feasible by a clear margin."""
    clear = states[least < -0.05][:100]
    assert all(escapes(state, segments=1, segment_steps=8) for state in clear)


def test_violation_at_the_start_bounds_both_rules(states: np.ndarray, least: np.ndarray) -> None:
    """The start is part of every manoeuvre, so neither rule falls below its violation."""
    at_start = np.asarray(point_robot.violation(jnp.asarray(states)))
    assert (least >= at_start).all()
    assert (papers_violation(states) >= at_start - 1e-6).all()


def test_papers_manoeuvre_is_among_those_searched(states: np.ndarray, least: np.ndarray) -> None:
    """With both hazards on one side, the paper's rule turns away from both with one manoeuvre.

    Our search contains it, so its least violation is no higher. (With one on each side the paper's
    two manoeuvres differ, and no order follows.)
    """
    heading = np.stack([np.cos(states[:, 3]), np.sin(states[:, 3])], -1)
    offsets = HAZARDS[None] - states[:, None, :2]
    left = heading[:, None, 0] * offsets[..., 1] - heading[:, None, 1] * offsets[..., 0]
    one_side = (np.abs(left) > 1e-3).all(-1) & (np.sign(left[:, 0]) == np.sign(left[:, 1]))
    assert one_side.sum() > 200
    assert (least[one_side] <= papers_violation(states[one_side]) + 1e-5).all()


def test_both_rules_call_nearly_the_same_states_feasible(
    states: np.ndarray, least: np.ndarray
) -> None:
    """The paper's rule, which regards one hazard at a time, differs on less than 1 %."""
    assert ((papers_violation(states) <= 0) != (least <= 0)).mean() < 0.01


def test_starts_are_judged_by_their_seeds() -> None:
    """What the batch calls truly feasible is what the search says of the starts it resets to."""
    seeds = np.arange(200)
    batch = PointRobotBatch()
    feasible = batch.truly_feasible(seeds)
    batch.reset(seeds)
    np.testing.assert_array_equal(feasible, least_violation(np.asarray(batch._states)) <= 0)
    assert 0 < feasible.sum() < 200


# Collection


def test_competent_policy_is_competent() -> None:
    """Where some braking manoeuvre keeps clear of hazards and edges, >= 90 % arrive unharmed."""
    states, _, result, over = collection.competent_batch(jax.random.key(3))
    states, over = np.asarray(states), np.asarray(over)
    turns = np.array(list(itertools.product((-1, 0, 1), repeat=4)), np.float32)
    manoeuvres = np.repeat(turns, 10, axis=1)
    worst, edge = jax.lax.map(lambda turns: brake_and_turn(states[0], turns), manoeuvres)
    avoidable = np.asarray((worst <= 0) & (edge < 3)).any(axis=0)
    assert avoidable.sum() > 300
    unharmed = ~((np.asarray(result.cost) > 0) & ~over).any(axis=0)
    arrived = (np.asarray(result.reached_goal) & ~over).any(axis=0)
    assert (unharmed & arrived)[avoidable].mean() >= 0.9


@pytest.fixture(scope="module")
def small_batches() -> Iterator[None]:
    """Batches of 8 episodes, so that a collection of 3000 transitions takes several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collection, "BATCH_EPISODES", 8)
        for name in ("competent_batch", "random_batch"):
            uncompiled = getattr(collection, name).__wrapped__
            # A function of its own: the compiled one keeps the size it was traced with.
            patch.setattr(collection, name, jax.jit(lambda key, f=uncompiled: f(key)))
        yield


@pytest.fixture(scope="module")
def collected(small_batches: None) -> collection.Episodes:
    return collection.collect(3001, seed=0)


def test_collection_has_the_asked_number(collected: collection.Episodes) -> None:
    """3001 rows of each field, of the shapes that the environment has, all finite."""
    shapes = [field.shape for field in collected]
    assert shapes == [(3001, 11), (3001, 2), (3001, 11), *[(3001,)] * 5]
    assert all(np.isfinite(field).all() for field in collected)
    assert (np.abs(collected.actions) <= 1).all()


def test_halves_are_random_and_competent(collected: collection.Episodes) -> None:
    """An episode ends with row 1499, the random half; the other half earns far more by step."""
    assert (collected.terminals | collected.timeouts)[1499]
    random_half, competent_half = collected.rewards[:1500], collected.rewards[1500:]
    assert competent_half.mean() > random_half.mean() + 0.005
    # A random action is held for some ten steps; a competent one has fresh noise at each.
    held = (collected.actions[1:] == collected.actions[:-1]).all(axis=1)
    assert held[:1499].mean() > 0.8
    assert held[1500:].mean() < 0.5


def test_every_episode_ends_one_way(collected: collection.Episodes) -> None:
    """Rows that end an episode are terminal or timed out, never both; terminal is goal or edge."""
    assert not (collected.terminals & collected.timeouts).any()
    assert (collected.terminals | collected.timeouts)[-1]
    after = collected.next_observations[:, :2]
    at_goal = np.linalg.norm(after - GOAL, axis=-1) <= 0.3
    outside = (np.abs(after) > 3).any(axis=-1)
    clear = np.abs(np.linalg.norm(after - GOAL, axis=-1) - 0.3) > 1e-5
    np.testing.assert_array_equal(collected.terminals[clear], (at_goal | outside)[clear])


def test_episodes_last_no_longer_than_the_limit(collected: collection.Episodes) -> None:
    """A timeout is an episode of 300 steps, or the cut end of one of the halves."""
    ends = np.flatnonzero(collected.terminals | collected.timeouts)
    lengths = np.diff(ends, prepend=-1)
    assert lengths.max() <= 300
    short = ends[collected.timeouts[ends] & (lengths < 300)]
    assert set(short.tolist()) <= {1499, 3000}
    assert (collected.terminals[ends] | (lengths == 300) | np.isin(ends, [1499, 3000])).all()


def test_next_observation_is_the_next_rows_observation(collected: collection.Episodes) -> None:
    """Inside an episode a row leads to the next one; after its end another start follows."""
    inside = ~(collected.terminals | collected.timeouts)[:-1]
    following, after = collected.observations[1:], collected.next_observations[:-1]
    np.testing.assert_array_equal(after[inside], following[inside])
    assert inside.sum() > 2500
    assert (np.abs(after[~inside] - following[~inside]).max(axis=1) > 1e-3).all()


def test_rewards_costs_and_violations_follow_from_the_observations(
    collected: collection.Episodes,
) -> None:
    """The dense h is of the state before the step, the cost of the one after it."""

    def h(observations: np.ndarray) -> np.ndarray:
        away = np.linalg.norm(observations[:, None, :2] - HAZARDS, axis=-1)
        return 0.8 - away.min(axis=-1)

    def distance(observations: np.ndarray) -> np.ndarray:
        return np.linalg.norm(observations[:, :2] - GOAL, axis=-1)

    before, after = collected.observations, collected.next_observations
    np.testing.assert_allclose(collected.violations, h(before), atol=1e-5)
    np.testing.assert_allclose(collected.costs, np.maximum(h(after), 0), atol=1e-5)
    bonus = collected.terminals & (np.abs(after[:, :2]) <= 3).all(axis=-1)
    gained = distance(before) - distance(after)
    np.testing.assert_allclose(collected.rewards, gained + bonus, atol=1e-5)
    assert bonus.any()
    assert (collected.costs > 0).any()


def test_seed_decides_the_collection(collected: collection.Episodes) -> None:
    """The same seed gives the same arrays, another seed others."""
    again, other = collection.collect(3001, seed=0), collection.collect(3001, seed=1)
    for first, second in zip(collected, again, strict=True):
        np.testing.assert_array_equal(first, second, strict=True)
    assert not np.array_equal(collected.observations, other.observations)
    assert not np.array_equal(collected.actions[:1500], other.actions[:1500])
