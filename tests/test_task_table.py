"""tasks.yaml against its sources: DSRL's package and the paper's Table 1."""

import dataclasses
import importlib.util
import re
from importlib.metadata import distribution
from types import ModuleType

import pytest
import yaml
from project import ROOT

from fisor.config.files import load_task
from fisor.envs.suites import SUITES

TABLE = yaml.safe_load((ROOT / "tasks.yaml").read_text(encoding="utf-8"))
BENCHMARK = sorted(TABLE.keys() - {"PointRobot"})
# The paper's Table 1, where DSRL's other twelve tasks are not.
PAPER = {
    *("CarButton1", "CarButton2", "CarPush1", "CarPush2", "CarGoal1", "CarGoal2"),
    *("AntVelocity", "HalfCheetahVelocity", "SwimmerVelocity"),
    *("AntRun", "BallRun", "CarRun", "DroneRun"),
    *("AntCircle", "BallCircle", "CarCircle", "DroneCircle"),
    *("easysparse", "easymean", "easydense"),
    *("mediumsparse", "mediummean", "mediumdense"),
    *("hardsparse", "hardmean", "harddense"),
}
COST_LIMITS = {"safety_gymnasium": 10, "bullet_safety_gym": 5, "metadrive": 5}  # Appendix D.3


@pytest.fixture(scope="module")
def infos() -> ModuleType:
    """dsrl.infos by its file: importing the package would import every simulator."""
    path = distribution("dsrl").locate_file("dsrl/infos.py")
    spec = importlib.util.spec_from_file_location("dsrl_infos", str(path))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_table_has_dsrls_tasks(infos: ModuleType) -> None:
    """The names are DSRL's, all 38, and PointRobot."""
    assert sorted(infos.DATASET_URLS) == BENCHMARK
    assert len(BENCHMARK) == 38


def test_papers_tasks_are_marked() -> None:
    """26 tasks of the benchmark stand in the paper's Table 1."""
    assert len(PAPER) == 26
    assert {name for name, entry in TABLE.items() if entry.get("paper")} == PAPER


@pytest.mark.parametrize("name", BENCHMARK)
def test_facts_are_dsrls(name: str, infos: ModuleType) -> None:
    """File, returns and horizon are those of DSRL's package, to the last digit."""
    task = load_task(name, ROOT / "tasks.yaml")
    assert task.acquire.source == "dsrl"
    assert task.acquire.file == infos.DATASET_URLS[name].rpartition("/")[2]
    returns = (infos.MIN_EPISODE_REWARD[name], infos.MAX_EPISODE_REWARD[name])
    assert task.reference_returns == returns
    assert task.horizon_steps == infos.DEFAULT_MAX_EPISODE_STEPS[name]


@pytest.mark.parametrize("name", BENCHMARK)
def test_file_name_says_environment_cost_and_episodes(name: str, infos: ModuleType) -> None:
    """A file's name ends in the bound on the cost, and the number of episodes."""
    task = load_task(name, ROOT / "tasks.yaml")
    assert task.acquire.file
    found = re.fullmatch(r"(.+)-v([01])-(\d+)-(\d+)\.hdf5", task.acquire.file)
    assert found
    environment, version, cost, episodes = found.groups()
    assert infos.MAX_EPISODE_COST[name] <= int(cost) + 0.1
    assert 600 <= int(episodes) <= 6000
    assert task.acquire.highest_cost == int(cost)
    assert task.acquire.episodes == int(episodes)
    if task.suite == "metadrive":
        assert environment == f"SafeMetaDrive-{task.environment}"
    else:
        assert task.environment == f"{environment.removesuffix('Gymnasium')}-v{version}"


@pytest.mark.parametrize("name", BENCHMARK)
def test_another_source_is_one_word(name: str) -> None:
    """Each task can be collected instead by `source: collect` alone."""
    task = load_task(name, ROOT / "tasks.yaml")
    acquire = dataclasses.replace(task.acquire, source="collect")
    assert acquire.environment_steps
    assert acquire.environment_steps >= 500 * task.horizon_steps


@pytest.mark.parametrize("name", BENCHMARK)
def test_prompts_fit_the_returns(name: str) -> None:
    """Returns that are asked for, and augmented ones, are near those that the dataset has."""
    task = load_task(name, ROOT / "tasks.yaml")
    assert task.prompts
    low, high = task.reference_returns
    assert low < task.prompts.target_return <= task.prompts.highest_return
    assert 0.98 * high <= task.prompts.highest_return <= 1.27 * high
    assert 0.1 * (high - low) < task.prompts.return_decrease < 0.6 * (high - low)


@pytest.mark.parametrize("name", BENCHMARK)
def test_paper_protocol(name: str) -> None:
    """The cost limit is the paper's for the suite; nothing is overridden."""
    task = load_task(name, ROOT / "tasks.yaml")
    assert task.suite in SUITES
    assert task.cost_limit == COST_LIMITS[task.suite]
    assert not task.dense_violation
    assert not task.record_observations
    assert not any(task.overrides.values())
