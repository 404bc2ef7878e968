"""Episodes in the real simulators: what they cost, and that a seed stands for one exactly."""

import gymnasium
import numpy as np
import pytest
from simulated import episode, random_actions, task_of

from fisor.envs.suites import make_environment

# Of each kind of robot and task, and of each suite.
REPRODUCED = [
    *("BallRun", "BallCircle", "CarRun", "CarCircle", "DroneRun", "DroneCircle", "AntRun"),
    *("CarCircle1", "CarPush1", "PointButton1"),
    *("AntVelocity", "HalfCheetahVelocity", "HopperVelocity"),
    *("mediummean", "harddense"),
]


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("BallRun", (1.0, 0.0)),  # too fast
        ("SwimmerVelocity", None),  # random actions exceed its low limit of speed
        ("easysparse", (0.0, 1.0)),  # too fast, then off the road
    ],
)
def test_whole_episode_costs(
    name: str, policy: tuple[float, ...] | None, opened: list[gymnasium.Env]
) -> None:
    """A reckless episode of each suite, at the task's own horizon, costs something."""
    task = task_of(name)
    environment = make_environment(task)
    opened.append(environment)
    actions = random_actions(environment, 0, task.horizon_steps + 1)
    if policy is not None:
        actions[:] = policy
    steps = episode(environment, 0, actions)[1:]
    assert sum(step[-1] for step in steps) > 1
    *_, terminated, truncated, _ = steps[-1]
    assert terminated != truncated
    assert len(steps) == task.horizon_steps or terminated
    if name != "easysparse":
        assert truncated


@pytest.mark.parametrize("name", REPRODUCED)
def test_seed_reproduces_an_episode(name: str, opened: list[gymnasium.Env]) -> None:
    """The same seed and actions give the same bits: after other episodes, and in a new object."""
    task = task_of(name)
    environment = make_environment(task)
    opened.append(environment)
    actions = random_actions(environment, 0, 40)
    if task.suite == "metadrive":  # towards the traffic, which is what a seed sets there
        actions = np.tile(np.float32([0.0, 0.8]), (100, 1))
    first = episode(environment, 5, actions)
    assert episode(environment, 6, actions) != first
    for steps in (3, 25):  # also ends early, in the air or in contact
        episode(environment, 100 + steps, random_actions(environment, steps, steps))
        np.random.random(steps)  # noqa: NPY002 (what others draw changes nothing)
        assert episode(environment, 5, actions) == first
    environment.close()
    anew = make_environment(task)
    opened.append(anew)
    assert episode(anew, 5, actions) == first


@pytest.mark.parametrize("name", ["CarRun", "CarCircle1", "easysparse"])
def test_reset_without_seed_goes_on_from_the_last_one(
    name: str, opened: list[gymnasium.Env]
) -> None:
    """Starts without a seed differ, and their sequence follows from the seed given before."""
    environment = make_environment(task_of(name))
    opened.append(environment)
    sequences = []
    for _ in range(2):
        starts = [environment.reset(seed=3)[0], environment.reset()[0], environment.reset()[0]]
        sequences.append([start.tolist() for start in starts])
    assert sequences[0] == sequences[1]
    if name != "easysparse":  # there the seed sets the traffic, which may start out of sight
        assert sequences[0][1] != sequences[0][2]


def test_simulator_leaves_the_global_generator_alone(opened: list[gymnasium.Env]) -> None:
    """Bullet draws its starts from NumPy's global generator; others do not notice."""
    environment = make_environment(task_of("AntRun"))
    opened.append(environment)
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    episode(environment, 0, random_actions(environment, 0, 5))
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize("name", ["AntRun", "SwimmerVelocity", "CarCircle1", "easysparse"])
def test_actions_out_of_range_are_clipped(name: str, opened: list[gymnasium.Env]) -> None:
    """Three times too large is as good as the bound, in what is applied and what is charged."""
    environment = make_environment(task_of(name))
    opened.append(environment)
    actions = 3 * random_actions(environment, 0, 20)
    assert episode(environment, 0, actions) == episode(environment, 0, np.clip(actions, -1, 1))
