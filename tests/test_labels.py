"""Violation labels and their summary, worked out by hand."""

import numpy as np

from fisor.data.labels import (
    LabelSummary,
    per_episode,
    summarise,
    violation_from_cost,
    violation_with_floor,
)


def test_sparse_violation_by_hand() -> None:
    """A cost of 0 gives h = -1 and any positive one, however large, h = M (Appendix D.3)."""
    h = violation_from_cost(np.array([0.0, 1.0, 0.0, 0.001, 3.0], np.float32), M=25.0)
    np.testing.assert_array_equal(h, [-1, 25, -1, 25, 25])
    assert h.dtype == np.float32


def test_sparse_violation_scales_with_M() -> None:
    """M is the value of a violating transition alone; safe ones stay at -1."""
    h = violation_from_cost(np.array([0, 1]), M=0.5)
    np.testing.assert_array_equal(h, np.array([-1, 0.5], np.float32))
    assert h.dtype == np.float32


def test_a_floor_under_the_violation_by_hand() -> None:
    """The larger of h and -0.25, so that no sign changes; without a floor h is as it was."""
    h = np.array([-3.0, -0.25, -0.125, 0.0, 1e-30, 2.0], np.float32)
    raised = violation_with_floor(h, -0.25)
    np.testing.assert_array_equal(raised, np.float32([-0.25, -0.25, -0.125, 0, 1e-30, 2]))
    assert raised.dtype == np.float32
    np.testing.assert_array_equal(np.sign(raised), np.sign(h))
    assert violation_with_floor(h, None) is h


def test_summary_by_hand() -> None:
    """Six rows in episodes of 3, 2 and 1: rows 1 and 2 violate, both in episode 0; h = 0 does not.

    Costs are 5, 2 and 0, so that a limit of 2 keeps the last two; returns are 4, -1 and 0.5.
    """
    h = np.array([-1.0, 0.2, 25.0, 0.0, -1.0, -0.3], np.float32)
    rewards = np.array([1.0, 1.0, 2.0, -2.0, 1.0, 0.5], np.float32)
    costs = np.array([0.0, 2.0, 3.0, 1.5, 0.5, 0.0], np.float32)
    episodes = per_episode(h, rewards, costs, np.array([0, 0, 0, 1, 1, 2], np.int32))
    np.testing.assert_array_equal(episodes.returns, [4, -1, 0.5])
    np.testing.assert_array_equal(episodes.costs, [5, 2, 0])
    np.testing.assert_array_equal(episodes.steps, [3, 2, 1])
    np.testing.assert_array_equal(episodes.violating_steps, [2, 0, 0])
    assert summarise(episodes, cost_limit=2) == LabelSummary(
        transitions=6,
        violating_transitions_share=2 / 6,
        episodes=3,
        safe_episodes=2,
        episodes_within_cost_limit=2,
        lowest_return=-1,
        highest_return=4,
        lowest_cost=0,
        highest_cost=5,
    )


def test_summary_of_a_dataset_without_a_safe_episode() -> None:
    """One violating row in each episode leaves none safe, the last one included."""
    h, zeros = np.array([1.0, -1.0, -1.0, 1.0]), np.zeros(4)
    summary = summarise(per_episode(h, zeros, zeros, np.array([0, 0, 1, 1])), cost_limit=1)
    assert (summary.episodes, summary.safe_episodes) == (2, 0)
    assert summary.violating_transitions_share == 0.5
