"""The report's tables on safety: how episodes end, and certificates."""

import polars as pl
import pytest

from fisor.config.report import Certified
from fisor.evaluation.certificate import violation_bound
from fisor.report.certificates import certificates, endings

SETTINGS = Certified(certificate_beta=0.1, certificate_epsilon=0.6)


def rows(**columns: list) -> pl.DataFrame:
    """Two seeds of eight episodes each, of which the last two start infeasible.

    Seed 0: violated and at the goal, violated, reached twice, left, timed out; violated, reached.
    Seed 1: reached six times; violated and left, reached.
    """
    violating = [3, 1, 0, 0, 0, 0, 5, 0] + [0] * 6 + [2, 0]
    reached = [1, 0, 1, 1, 0, 0, 0, 1] + [1] * 6 + [0, 1]
    left = [0, 0, 0, 0, 1, 0, 0, 0] + [0] * 6 + [1, 0]
    values = [-0.1, -0.2, -0.3, -0.4, -0.5, -0.6, 0.1, -0.1]
    table = {
        "seed": [0] * 8 + [1] * 8,
        "episode": [*range(8)] * 2,
        "violating_steps": violating,
        "reached_goal": [bool(value) for value in reached],
        "left_box": [bool(value) for value in left],
        "truly_feasible": ([True] * 6 + [False] * 2) * 2,
        "start_feasible_value": values * 2,
    }
    return pl.DataFrame(table | columns)


def test_every_episode_ends_once() -> None:
    """Shares by hand; a violation goes before the goal and the edge; each line adds up to 1."""
    figures, text = endings({"FISOR": rows()})
    feasible, infeasible = (
        {name: estimate["mean"] for name, estimate in figures["FISOR"][starts].items()}
        for starts in ("feasible", "infeasible")
    )
    of_twelve = {"violated": 2, "reached_goal": 8, "left_box": 1, "timed_out": 1}
    assert feasible == pytest.approx({name: n / 12 for name, n in of_twelve.items()})
    expected = {"violated": 0.5, "reached_goal": 0.5, "left_box": 0.0, "timed_out": 0.0}
    assert infeasible == pytest.approx(expected)
    assert "| method | starts | violated | reached goal | left box | timed out |" in text
    assert "| FISOR | truly feasible | 0.17" in text


def test_certificates_of_each_seed_by_hand() -> None:
    """Seed 0: of 7 starts that V_h calls feasible 2 violate; seed 1: none of 7.

    The first four episodes of seed 0 have violations at -0.1 and -0.2, so for 0.6 level -0.3 is
    chosen (none of 2 violates: 1 - 0.1^(1/2) = 0.68 is too much): there is none. Seed 1: level 0
    (none of 4: 0.44), certified by the 3 of its other four episodes that lie below.
    """
    figures, text = certificates({"FISOR": rows()}, SETTINGS)
    zero, chosen = figures["FISOR"]["zero_level"], figures["FISOR"]["chosen_level"]
    first, second = zero["seed_0"], zero["seed_1"]
    assert (first["starts"], first["violations"]) == (7, 2)
    assert first["epsilon"] == violation_bound(2, 7, 0.1) == zero["largest_epsilon"]
    assert second["epsilon"] == pytest.approx(1 - 0.1 ** (1 / 7))
    assert chosen["seed_0"] is None
    assert chosen["largest_epsilon"] is None  # no bound for all seeds
    assert chosen["seed_1"] == pytest.approx(
        {"level": 0.0, "starts": 3, "violations": 0, "epsilon": 1 - 0.1 ** (1 / 3)}
    )
    assert "| FISOR | 0.00, 0.00 | 2 of 7, 0 of 7 | 0.596, 0.280 | 0.596 |" in text
    assert "| FISOR | –, 0.00 | –, 0 of 3 | –, 0.536 | – |" in text
    assert "holds with confidence 0.8" in text


def test_the_order_of_rows_does_not_matter() -> None:
    """Halves are by the episode's number."""
    shuffled = rows().sample(fraction=1.0, shuffle=True, seed=3)
    assert certificates({"A": shuffled}, SETTINGS) == certificates({"A": rows()}, SETTINGS)


def test_a_method_without_a_feasible_value_has_no_certificate() -> None:
    """No line of it; and no section where there is no other method."""
    without = rows(start_feasible_value=[None] * 16)
    assert certificates({"BC": without}, SETTINGS) == ({}, "")
    figures, text = certificates({"BC": without, "FISOR": rows()}, SETTINGS)
    assert figures.keys() == {"FISOR"}
    assert "BC" not in text
