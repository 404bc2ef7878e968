"""Which episodes a collected dataset keeps, and what is said of its coverage."""

import numpy as np
import pytest
from project import ROOT

from fisor.collect.thinning import front, select
from fisor.config.files import load_task
from fisor.data.coverage import Coverage, coverage


def thin(costs: np.ndarray, returns: np.ndarray, **changes: float) -> np.ndarray:
    settings = {"highest_cost": 80.0, "lowest_return": 0.0, "episodes": 100} | changes
    generator = np.random.default_rng(0)
    return select(costs, returns, generator=generator, **settings)  # type: ignore[arg-type]


def test_front_by_hand() -> None:
    """An episode is on the front if none of its cost or less returns as much."""
    costs = np.array([5.0, 0.0, 0.0, 3.0, 5.0, 9.0])
    returns = np.array([7.0, 1.0, 2.0, 2.0, 8.0, 7.5])
    assert front(costs, returns).tolist() == [2, 4]


@pytest.fixture(scope="module")
def crowd() -> tuple[np.ndarray, np.ndarray]:
    """20 000 episodes, nearly all in one corner."""
    draw = np.random.default_rng(1)
    costs = np.floor(draw.exponential(4.0, 20_000))
    returns = draw.normal(20, 4, 20_000) + costs
    return costs, returns


def test_number_front_and_bounds_are_kept(crowd: tuple[np.ndarray, np.ndarray]) -> None:
    """As many as asked for, the whole front among them, no episode twice or out of bounds."""
    costs, returns = crowd
    kept = thin(costs, returns, highest_cost=40.0, lowest_return=15.0, episodes=300)
    assert kept.size == np.unique(kept).size == 300
    assert (np.diff(kept) > 0).all()
    assert costs[kept].max() <= 40
    assert returns[kept].min() >= 15
    allowed = np.flatnonzero((costs <= 40) & (returns >= 15))
    assert set(allowed[front(costs[allowed], returns[allowed])]) <= set(kept)
    assert costs[kept].max() == costs[allowed].max()
    assert returns[kept].min() == returns[allowed].min()


def test_plane_is_covered_evenly(crowd: tuple[np.ndarray, np.ndarray]) -> None:
    """What is kept is spread wider than what was seen: half of the seen cost below 3."""
    costs, returns = crowd
    kept = thin(costs, returns, episodes=500)
    assert np.median(costs) <= 3
    assert np.median(costs[kept]) >= 8


def test_few_episodes_all_stay() -> None:
    """Where no more were seen than asked for, all within the bounds are kept."""
    costs, returns = np.array([0.0, 90.0, 1.0, 2.0]), np.array([1.0, 9.0, -1.0, 2.0])
    assert thin(costs, returns).tolist() == [0, 3]
    assert thin(costs, returns, highest_cost=0.5, lowest_return=5.0).size == 0


def test_long_front_is_thinned_along_itself() -> None:
    """Asked for fewer than the front has, both ends of it stay."""
    costs = np.arange(50.0)
    kept = thin(costs, costs * 2, episodes=5)
    assert kept.size == 5
    assert {0, 49} <= set(kept)


def of_ball_run(returns: list[float], costs: list[float]) -> Coverage:
    """Coverage of BallRun's reference: returns 26.3 to 1327.4, costs to 80."""
    task = load_task("BallRun", ROOT / "tasks.yaml")
    return coverage(task.name, task.reference_returns, 80, np.array(returns), np.array(costs))


def test_coverage_is_told() -> None:
    """Ranges beside the reference's, as shares; no warning where enough is covered."""
    found = of_ball_run([676.8, 1400.0], [0.0, 60.0])
    assert found.return_share == pytest.approx(0.5, abs=1e-3)
    assert found.cost_share == 0.75
    assert found.message == (
        "BallRun: 2 episodes; returns 676.8 to 1400, 50 % of the reference's 26.34 to 1327; "
        "costs 0 to 60, 75 % of 0 to 80"
    )


def test_poor_coverage_is_said_aloud() -> None:
    """Less than half of either range is a warning that names it."""
    found = of_ball_run([30.0, 300.0], [1.0, 30.0])
    assert "warning: less than half of the range of returns and of costs" in found.message
    found = of_ball_run([30.0, 1300.0], [1.0, 30.0])
    assert "warning: less than half of the range of costs is covered" in found.message
