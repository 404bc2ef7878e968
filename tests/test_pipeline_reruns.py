"""What a change of a parameter, a task, the code or a package reruns: README's table."""

from pathlib import Path

import pytest
import yaml
from project import edit_yaml
from reruns import (
    ACQUIRE,
    BASELINE,
    BELOW_CRITICS,
    BELOW_EVALUATION,
    BELOW_FEASIBILITY,
    BELOW_POLICY,
    CHAIN,
    EVALUATE_BASELINE,
    OURS,
    RECORD,
    RECORD_BASELINE,
    REWARD,
    would_rerun,
    write,
)

# What a parameter reruns --------------------------------------------------------------------------


def of_method(name: str) -> set[str]:
    """The stages of one more policy."""
    own = {f"{stage}@PointRobot-{name}" for stage in ("train_policy", "evaluate", "record")}
    return own | {"report"}


FROM_CONVERT = CHAIN - {ACQUIRE}
CHANGES = {
    "tau": ({"tau": 0.8}, BELOW_CRITICS),
    "gamma": ({"gamma": 0.98}, BELOW_CRITICS),
    "product_precision": ({"product_precision": "bfloat16"}, BELOW_CRITICS),
    "seeds": ({"seeds": 1}, BELOW_CRITICS),
    "size": ({"size": "quick"}, BELOW_CRITICS),
    "a size's value": ({"sizes": {"paper": {"policy_batch_size": 8}}}, BELOW_POLICY),
    "another size": ({"sizes": {"quick": {"hidden_units": 9}}}, set()),
    "M": ({"M": 1}, BELOW_FEASIBILITY | {"label@PointRobot"}),
    "violation_floor": ({"violation_floor": -0.2}, BELOW_FEASIBILITY | {"label@PointRobot"}),
    # Wherever a file comes from, it is the same.
    "dataset_hosts": ({"dataset_hosts": ["http://mirror.example.org/"]}, set()),
    "drop_bad_rows": ({"drop_bad_rows": True}, FROM_CONVERT),
    "temperature": ({"feasible_temperature": 2}, BELOW_POLICY),
    "clip": ({"infeasible_clip": 100}, BELOW_POLICY),
    "normalise_advantages": ({"normalise_advantages": True}, BELOW_POLICY),
    "balance_regions": ({"balance_regions": True}, BELOW_POLICY),
    "best_share": ({"best_share": 0.3}, BELOW_POLICY),
    "T": ({"T": 4}, BELOW_POLICY),
    "N": ({"N": 3}, BELOW_EVALUATION),
    "sampler": ({"sampler": "dpm_solver_1"}, BELOW_EVALUATION),
    "acting_precision": ({"acting_precision": "bfloat16"}, BELOW_EVALUATION),
    "acting_rule": ({"acting_rule": "best_feasible"}, BELOW_EVALUATION),
    "margin": ({"margin": 0.1}, BELOW_EVALUATION),
    "proposals": ({"proposals": 3}, BELOW_EVALUATION),
    "episodes": ({"episodes": 10}, BELOW_EVALUATION),
    "record": ({"record": False}, {RECORD, "report"}),
    "certificate_beta": ({"certificate_beta": 0.01}, {"report"}),
    "certificate_epsilon": ({"certificate_epsilon": 0.1}, {"report"}),
    # The paper's ablations: without reachability, without the infeasible part, without diffusion,
    # without a constraint, imitation (weights and experts), less data.
    "w/o HJ": ({"feasibility": "cost_value"}, BELOW_FEASIBILITY),
    "threshold": ({"cost_value_threshold": 0.01}, BELOW_FEASIBILITY),
    "w/o infeasible": ({"policy_weights": "feasible_only"}, BELOW_POLICY),
    "w/o diffusion": ({"policy": "gaussian"}, BELOW_POLICY),
    "w/o constraint": ({"policy_weights": "unconstrained"}, BELOW_POLICY),
    "imitation": ({"policy_weights": "imitation"}, BELOW_POLICY),
    "experts": ({"expert_return": 0}, FROM_CONVERT),
    "data_share": ({"data_share": 0.5}, FROM_CONVERT),
    "data_share_seed": ({"data_share_seed": 1}, FROM_CONVERT),
    "an ablation beside FISOR": (
        {"policies": ["FISOR", "gaussian"]},
        of_method("gaussian"),
    ),
    "our variant beside FISOR": (
        {"policies": ["FISOR", OURS]},
        of_method(OURS),
    ),
    "a baseline beside FISOR": (
        {"baselines": ["BC"]},
        {BASELINE, EVALUATE_BASELINE, RECORD_BASELINE, "report"},
    ),
    "a method's training": ({"methods": {"FISOR": {"train": {"T": 4}}}}, BELOW_POLICY),
    "a method's acting": ({"methods": {"FISOR": {"act": {"N": 3}}}}, BELOW_EVALUATION),
    "another method": ({"methods": {"gaussian": {"train": {"T": 4}, "act": {"N": 3}}}}, set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_reruns_what_lies_downstream(edited: Path, name: str) -> None:
    """README's table: a changed parameter reruns exactly the stages listed."""
    change, expected = CHANGES[name]
    edit_yaml(edited / "params.yaml", change)
    assert would_rerun(edited) == expected


def test_a_tasks_own_facts_rerun_what_reads_them(edited: Path) -> None:
    """Keeping the observations is evaluation's alone; the cost limit labels, scores, reports."""
    edit_yaml(edited / "tasks.yaml", {"PointRobot": {"record_observations": False}})
    assert would_rerun(edited) == BELOW_EVALUATION
    edit_yaml(edited / "tasks.yaml", {"PointRobot": {"cost_limit": 6}})
    assert {ACQUIRE, REWARD} & would_rerun(edited) == {REWARD}  # below convert


def test_one_more_task_runs_its_own_chain(edited: Path) -> None:
    """A further task in the list adds its chain and the report; the first task's stages stay."""
    tasks = yaml.safe_load((edited / "tasks.yaml").read_text())
    edit_yaml(edited / "tasks.yaml", {"Other": tasks["PointRobot"]})
    edit_yaml(edited / "params.yaml", {"run": ["PointRobot", "Other"]})
    assert would_rerun(edited) == {stage.replace("PointRobot", "Other") for stage in CHAIN}


# What a change of code reruns ---------------------------------------------------------------------


CODE = {
    "a comment": ("fisor/critics/losses.py", "import jax\n", "import jax\n\n# A comment.\n", set()),
    "a docstring": (
        "fisor/critics/losses.py",
        '    """L^tau(u)',
        '    """Another sentence on L^tau(u)',
        set(),
    ),
    "a blank line": ("fisor/config/training.py", "\n\n\n", "\n\n\n\n", set()),
    "the feasible target": (
        "fisor/critics/feasibility.py",
        "(1 - gamma) * violation + gamma",
        "(1 - gamma) * violation + 1.0 * gamma",
        BELOW_FEASIBILITY,
    ),
    "the reward's value loss": (
        "fisor/critics/reward.py",
        "q_r - v_r",
        "(q_r - v_r) * 1.0",
        {REWARD, *BELOW_POLICY},
    ),
    "the expectile": (
        "fisor/critics/losses.py",
        "difference**2",
        "difference * difference",
        BELOW_CRITICS,
    ),
    "the weights": (
        "fisor/policies/weights.py",
        "infeasible_temperature * (q_h - v_h)",
        "infeasible_temperature * (q_h - v_h) * 1.0",
        BELOW_POLICY,
    ),
    "the choice among candidates": (
        "fisor/policies/agent.py",
        ".max(axis=0)",
        ".mean(axis=0)",
        BELOW_EVALUATION,
    ),
    "a simulator": (
        "fisor/envs/bullet_safety_gym.py",
        "FAR_ABOVE_METRES = 50.0",
        "FAR_ABOVE_METRES = 60.0",
        CHAIN,
    ),
    "a camera": (
        "fisor/envs/rendering/bullet_safety_gym.py",
        '"distance": 13.5',
        '"distance": 14.5',
        {RECORD, "report"},
    ),
    "a plot": ("fisor/report/plots.py", '"font.size": 9', '"font.size": 10', {"report"}),
    "a study": ("fisor/studies/pictures.py", "PANEL_INCHES = 2.7", "PANEL_INCHES = 3.0", set()),
    "a new release of JAX": ("requirements.lock", "\njax==", "\njax==9.", CHAIN),
    "a new release of optax": (
        "requirements.lock",
        "\noptax==",
        "\noptax==9.",
        CHAIN,  # stage acquire collects with it, too
    ),
    "a new release of matplotlib": (
        "requirements.lock",
        "\nmatplotlib==",
        "\nmatplotlib==9.",
        {"report"},
    ),
    "a new release of Pillow": (
        "requirements.lock",
        "\npillow==",
        "\npillow==9.",
        {RECORD, "report"},
    ),
    "a new release of a linter": ("requirements.lock", "\nruff==", "\nruff==9.", set()),
}


@pytest.mark.parametrize("name", CODE)
def test_code_reruns_what_computes_with_it(edited: Path, name: str) -> None:
    """A changed formula or package reruns exactly what computes with it; a comment nothing."""
    file, old, new, expected = CODE[name]
    write(edited, file, old, new)
    assert would_rerun(edited) == expected
