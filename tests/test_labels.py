"""Violation labels and their summary, worked out by hand."""

import numpy as np

from fisor.labels import LabelSummary, summarise, violation_from_cost


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


def test_summary_by_hand() -> None:
    """Six rows in three episodes: rows 1 and 2 violate, both in episode 0; h = 0 does not."""
    h = np.array([-1.0, 0.2, 25.0, 0.0, -1.0, -0.3], np.float32)
    episode = np.array([0, 0, 0, 1, 1, 2], np.int32)
    assert summarise(h, episode) == LabelSummary(
        transitions=6, violating_transitions_share=2 / 6, episodes=3, safe_episodes=2
    )


def test_summary_of_a_dataset_without_a_safe_episode() -> None:
    """One violating row in each episode leaves none safe, the last one included."""
    summary = summarise(np.array([1.0, -1.0, -1.0, 1.0]), np.array([0, 0, 1, 1]))
    assert summary == LabelSummary(4, 0.5, 2, 0)
