"""TREBI's parts: noise, networks, windows, guidance, the budget and the choice among plans."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configured import configured

from fisor.baselines import trebi, trebi_networks, trebi_planning, trebi_windows
from fisor.baselines.limits import discounted_limit
from fisor.baselines.trebi_planning import Guidance
from fisor.baselines.trebi_windows import Normaliser, Rows

# The diffusion ------------------------------------------------------------------------------------


def test_the_noise_follows_a_cosine() -> None:
    """alpha_bar is f(t) / f(0) of Nichol and Dhariwal, but at the last level, where beta is cut."""
    noise_schedule = trebi_planning.schedule(20)
    f = [np.cos((t / 20 + 0.008) / 1.008 * np.pi / 2) ** 2 for t in range(21)]
    kept = np.asarray(noise_schedule.kept)
    assert kept[:-1] == pytest.approx([f[t] / f[0] for t in range(1, 20)], rel=1e-5)
    assert kept[-1] == pytest.approx(kept[-2] * 0.001, rel=1e-5)


def test_the_posterior_is_that_of_two_gaussians() -> None:
    """Of x_(t-1), known by x_0 and seen by x_t: precisions add. Level 0 is the plan itself."""
    noise_schedule = trebi_planning.schedule(20)
    kept = np.asarray(noise_schedule.kept, np.float64)
    for level in range(1, 20):
        alpha, before = kept[level] / kept[level - 1], kept[level - 1]
        variance = 1 / (1 / (1 - before) + alpha / (1 - alpha))
        of_plan = variance * np.sqrt(before) / (1 - before)
        of_noisy = variance * np.sqrt(alpha) / (1 - alpha)
        found = [float(numbers[level]) for numbers in noise_schedule[1:]]
        assert found == pytest.approx([of_plan, of_noisy, variance], rel=1e-3)
    assert [float(numbers[0]) for numbers in noise_schedule[1:]] == pytest.approx([1, 0, 0])


def test_noise_is_added_in_proportion() -> None:
    """With alpha_bar 0.64: 0.8 x + 0.6 z."""
    noise_schedule = trebi_planning.schedule(2)._replace(kept=jnp.asarray([0.64, 0.1]))
    plan, noise = jnp.asarray([[1.0, 2.0]]), jnp.asarray([[10.0, -10.0]])
    noisy = trebi_planning.add_noise(noise_schedule, plan, jnp.asarray(0), noise)
    assert np.asarray(noisy) == pytest.approx(np.array([[6.8, -4.4]]))


# The networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "taps", "stride"), [(8, 5, 1), (4, 3, 2), (2, 5, 1), (1, 5, 1), (1, 3, 2)]
)
def test_a_convolution_is_xlas(steps: int, taps: int, stride: int) -> None:
    """And so are its gradients, also where taps see padding alone."""
    draw = np.random.default_rng(0)
    inputs = jnp.asarray(draw.normal(size=(3, steps, 4)), jnp.float32)
    kernel = jnp.asarray(draw.normal(size=(taps, 4, 6)), jnp.float32)
    around = taps // 2, taps // 2

    def ours(inputs: Any, kernel: Any) -> Any:
        return trebi_networks.convolve(inputs, kernel, stride, around, "float32")

    def xlas(inputs: Any, kernel: Any) -> Any:
        numbers = ("NWC", "WIO", "NWC")
        return jax.lax.conv_general_dilated(
            inputs, kernel, (stride,), [around], dimension_numbers=numbers
        )

    out, pull = jax.vjp(ours, inputs, kernel)
    expected, expected_pull = jax.vjp(xlas, inputs, kernel)
    weights = jnp.asarray(draw.normal(size=expected.shape), jnp.float32)
    for found, right in ((out, expected), *zip(pull(weights), expected_pull(weights), strict=True)):
        assert np.asarray(found) == pytest.approx(np.asarray(right), abs=1e-4)


class Upsampled(nn.Module):
    """The layer alone."""

    @nn.compact
    def __call__(self, inputs: Any) -> Any:
        return trebi_networks.upsampled(inputs, "float32")


def test_upsampling_is_a_transposed_convolution() -> None:
    """Of four taps and stride 2, by its definition: input j adds to outputs 2j - 1 to 2j + 2."""
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(1, 3, 2)).astype(np.float32)
    kernel, bias = draw.normal(size=(2, 2, 4)).astype(np.float32), np.zeros(4, np.float32)
    params = {"params": {"Conv_0": {"kernel": kernel, "bias": bias}}}
    taps = kernel[1, :, 2:], kernel[1, :, :2], kernel[0, :, 2:], kernel[0, :, :2]
    expected = np.zeros((6, 2))
    for step, row in enumerate(inputs[0]):
        for tap, weights in enumerate(taps):
            if 0 <= (output := 2 * step + tap - 1) < 6:
                expected[output] += row @ weights
    found = np.asarray(Upsampled().apply(params, inputs))
    assert found[0] == pytest.approx(expected, abs=1e-5)


def test_the_networks_have_the_published_size() -> None:
    """At the default sizes 4.0 million parameters in the planner and twice 2.3 in the values."""
    config = configured("TREBI", "train", trebi.Config)
    for network, millions in zip(
        trebi_networks.networks(config.channels, config.channel_multipliers),
        (4.0, 2 * 2.3),
        strict=True,
    ):
        init = partial(trebi_networks.first_params, network, (config.plan_steps, 20))
        size = sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(init, jax.random.key(0))))
        assert size == pytest.approx(millions * 1e6, rel=0.02)


def test_a_plan_is_seen_as_a_whole() -> None:
    """All outputs of the first step depend on the last one, and so do both values; by shapes, too.

    Two plans that differ in their last step alone are one batch, and the level is the same.
    """
    draw = np.random.default_rng(0)
    plan = draw.normal(size=(8, 3)).astype(np.float32)
    plans, levels = jnp.asarray([plan, plan]).at[1, -1].add(10.0), jnp.asarray([2, 2])
    planner, values = trebi_networks.networks(8, (1, 2))
    for network, shape in ((planner, (2, 8, 3)), (values, (2, 2))):
        init = partial(trebi_networks.first_params, network, (8, 3))
        params = jax.tree.map(
            lambda leaf: jnp.asarray(draw.normal(0, 0.3, leaf.shape), jnp.float32),
            jax.eval_shape(init, jax.random.key(0)),
        )
        outputs = jax.jit(network.apply)(params, plans, levels)
        assert outputs.shape == shape
        here, there = outputs if network is values else outputs[:, 0]
        assert (np.abs(here - there) > 1e-5).all()


def test_sizes_that_cannot_be_are_refused() -> None:
    """A plan must halve evenly, and a multiplier be at least 1."""
    for changes, message in (
        ({"plan_steps": 12}, "divisible"),
        ({"channel_multipliers": (1, 0)}, "at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            configured("TREBI", "train", trebi.Config, **changes)


# Windows ------------------------------------------------------------------------------------------


def test_values_end_with_their_episode() -> None:
    """Discount 0.5, episodes of 3, 1 and 2 rows, by hand."""
    to_come = trebi_windows.discounted_to_come(
        np.array([1, 2, 4, 8, 16, 32], np.float32), np.array([0, 1, 2, 0, 0, 1]), 0.5
    )
    assert to_come.tolist() == [1 + 1 + 1, 2 + 2, 4, 8, 16 + 16, 32]


def test_windows_begin_where_the_time_limit_lets_them_end() -> None:
    """Limit 4, windows of 3; where the limit is shorter than a window, at each first row."""
    step = np.array([0, 1, 2, 3, 0, 1])
    assert trebi_windows.may_begin(step, 4, 3).tolist() == [True, True, False, False, True, True]
    assert trebi_windows.may_begin(step, 4, 8).tolist() == [True, False, False, False, True, False]


def test_what_lies_beyond_an_episode_is_zeros() -> None:
    """Neither the next episode's rows nor the data's last one, repeated, enter a plan."""
    normaliser = Normaliser(np.array([1.0, 2.0], np.float32), np.array([2.0, 4.0], np.float32))
    observations = jnp.asarray([[4.0], [6.0], [8.0], [10.0]])
    actions = jnp.asarray([[3.0], [5.0], [7.0], [9.0]])
    beyond = [-0.5, -0.5]
    for step in ([5, 6, 0, 1], [5, 6, 6, 6]):
        window = Rows(observations, actions, jnp.asarray(step), None)
        plan = trebi_windows.plan_of(window, normaliser)
        assert np.asarray(plan).tolist() == [[1.0, 0.5], [2.0, 1.0], beyond, beyond]


def test_the_normaliser_is_undone(random_transitions: Any) -> None:
    """Normalised data has mean 0 and deviation 1; actions come back; a constant becomes 0."""
    data = random_transitions(500)
    data.observations[:, 1] = 0.1
    normaliser = Normaliser.of(data)
    rows = np.concatenate([data.actions, data.observations], axis=1)
    normalised = np.asarray(normaliser.normalise(jnp.asarray(rows)))
    assert normalised.mean(0) == pytest.approx(np.zeros(5), abs=1e-5)
    assert normalised.std(0) == pytest.approx([1, 1, 1, 0, 1], abs=1e-5)
    assert np.asarray(normaliser.observation(jnp.asarray(data.observations[3]))) == pytest.approx(
        normalised[3, 2:]
    )
    action = normaliser.action(jnp.asarray(normalised[3, :2]))
    assert np.asarray(action) == pytest.approx(data.actions[3], abs=1e-6)


# Losses -------------------------------------------------------------------------------------------


def test_losses() -> None:
    """By hand: two steps, one action entry of weight 10 and one observation, the first given."""
    predicted, plan = jnp.asarray([[1.0, 7.0], [3.0, 0.0]]), jnp.asarray([[0.0, 0.0], [1.0, 1.0]])
    loss = trebi.planner_loss(predicted, plan, 1, 10.0)
    assert float(loss) == pytest.approx((10 * 1 + 0 + 4 + 1) / 4)
    losses = trebi.value_losses(jnp.asarray([1.0, 2.0]), jnp.asarray([3.0, 2.5]))
    assert losses.tolist() == [4.0, 0.25]


# Acting -------------------------------------------------------------------------------------------

OF_REWARD = jnp.asarray([[1.0, -2.0], [0.5, 0.0]])
OF_COST = jnp.asarray([[2.0, 1.0], [0.0, 1.0]])


def linear(plan: Any, level: Any) -> Any:
    """Values whose gradients are known everywhere."""
    del level
    return jnp.stack([(OF_REWARD * plan).sum(), (OF_COST * plan).sum()])


def test_guidance_lowers_the_cost_of_a_plan_above_its_budget() -> None:
    """One step of 0.1 x 0.5 x (g_r - 3 g_c), and without g_c within the budget."""
    plan, level = jnp.ones((2, 2)), jnp.asarray(4)
    cost = float(linear(plan, level)[1])
    for budget, weight in ((cost - 0.5, 3.0), (cost, 0.0)):
        moved = trebi_planning.guided(
            linear, plan, level, jnp.asarray(budget), jnp.asarray(0.5), Guidance(1, 0.1, 3.0)
        )
        expected = plan + 0.05 * (OF_REWARD - weight * OF_COST)
        assert np.asarray(moved) == pytest.approx(np.asarray(expected), abs=1e-6)
        if weight:
            assert float(linear(moved, level)[1]) < cost


def test_the_budget_falls_by_what_was_spent() -> None:
    """Discount 0.5, costs 1, 0, 2: by hand, and as (b_0 - spent) / gamma^t."""
    budget, seen = jnp.asarray(2.0), []
    for cost in (1.0, 0.0, 2.0):
        budget = trebi_planning.budget_left(budget, jnp.asarray(cost), 0.5)
        seen.append(float(budget))
    assert seen == [2.0, 4.0, 4.0]
    assert seen[-1] == (2.0 - (1.0 + 0.25 * 2.0)) / 0.5**3
    assert discounted_limit(7.0, 1.0, 100) == 7.0


def test_the_best_plan_within_the_budget_acts() -> None:
    """If none is within it, the one of lowest cost."""
    rewards, costs = jnp.asarray([5.0, 3.0, 4.0]), jnp.asarray([2.0, 1.0, 0.5])
    for budget, chosen in ((3.0, 0), (2.0, 0), (1.5, 2), (0.4, 2), (-1.0, 2)):
        assert int(trebi_planning.choose(rewards, costs, jnp.asarray(budget))) == chosen
    assert int(trebi_planning.choose(rewards, -costs, jnp.asarray(-9.0))) == 0


def test_a_plan_is_drawn_as_published() -> None:
    """A loop over plans and levels that draws the same noise, with gradients by hand.

    Two guiding steps at levels 3 and 2, none at 1 and 0; the first observation is put back each
    time; the planner halves what it is given.
    """
    noise_schedule, budget, observation = trebi_planning.schedule(4), 0.3, 0.7
    key, shape, plans = jax.random.key(3), (2, 2), 18
    found = trebi_planning.make_plan(
        lambda plan, level: 0.5 * plan,
        linear,
        noise_schedule,
        Guidance(steps=2, scale=0.4, cost_weight=3.0),
        plans,
        jnp.asarray([observation]),
        jnp.asarray(budget),
        shape,
        key,
    )
    of_plan, of_noisy, variance = (np.asarray(numbers) for numbers in noise_schedule[1:])
    of_reward, of_cost = np.asarray(OF_REWARD), np.asarray(OF_COST)
    best = None
    for own in jax.random.split(key, plans):
        plan = np.array(jax.random.normal(jax.random.fold_in(own, 0), shape))
        plan[0, 1] = observation
        for level in (3, 2, 1):
            for _ in range(2 if level >= 2 else 0):
                exceeds = (of_cost * plan).sum() > budget
                plan = plan + 0.4 * variance[level] * (of_reward - 3.0 * exceeds * of_cost)
                plan[0, 1] = observation
            noise = np.asarray(jax.random.normal(jax.random.fold_in(own, level), shape))
            plan = (
                of_plan[level] * plan / 2
                + of_noisy[level] * plan
                + np.sqrt(variance[level]) * noise
            )
            plan[0, 1] = observation
        reward, cost = (of_reward * plan).sum(), (of_cost * plan).sum()
        if cost <= budget and (best is None or reward > best[0]):
            best = reward, plan / 2
    assert best is not None
    assert np.asarray(found) == pytest.approx(best[1], abs=1e-5)
