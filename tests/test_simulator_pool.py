"""The pool of simulator processes by itself: how they start, run jobs, and end."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fake_environments import die_once, make_counting
from fake_rollouts import on_ball_run

from fisor.envs.pool import SimulatorPool
from fisor.envs.suites import Episode
from fisor.errors import InputError


def test_missing_simulator_is_not_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong with the table of tasks is said at once, in the adapter's words."""
    task = on_ball_run(environment="Nowhere-v0")
    with SimulatorPool(task, 1) as pool, pytest.raises(InputError, match="no environment `Now"):
        pool.advance({0: Episode(0, 0, 0)}, np.zeros(1, bool), np.zeros((1, 2)))
    assert "failed" not in capsys.readouterr().err


def test_processes_end_with_their_parent() -> None:
    """A process whose pipe is at its end stops by itself."""
    with SimulatorPool(on_ball_run(), 1, make=make_counting) as pool:
        pool.advance({0: Episode(0, 0, 5)}, np.zeros(1, bool), np.zeros((1, 2)))
        worker = pool._workers[0]
        process = worker._process
        assert process is not None
        worker.pipe.close()
        assert process.wait(timeout=20) == 0


def test_processes_do_without_jax() -> None:
    """A simulator process imports no JAX: it starts fast, and many of them fit in memory."""
    with SimulatorPool(on_ball_run(), 1) as pool:
        pool.advance({0: Episode(0, 0, 5)}, np.zeros(1, bool), np.zeros((1, 2)))
        process = pool._workers[0]._process
        assert process is not None
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
    assert "pybullet" in mapped
    assert "jaxlib" not in mapped


def test_jobs_run_again_where_a_process_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job that dies once gives its result, in its place; one that always dies is an error."""
    with SimulatorPool(on_ball_run(), 2, make=make_counting, processes=2) as pool:
        marker = tmp_path / "died"
        results = pool.run([partial(die_once, n, str(marker)) for n in range(5)])
        assert results == [0, 1, 4, 9, 16]
        assert "failed in job 3: its process ended (SIGKILL)" in capsys.readouterr().err
        with pytest.raises(InputError, match=r"failed in job 3: .* failed 3 times"):
            pool.run([partial(die_once, n, "") for n in range(5)])
