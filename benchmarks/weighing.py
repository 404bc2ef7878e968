"""Three ways to bring w(s, a) of Eq. 13 into a batch: the gradient's noise, steps to equal quality.

Rows drawn evenly, their loss times w; rows of w = 0 left out of that (and the loss times the share
of the others, so that its expectation stays); rows drawn in proportion to w (`draw_by_weight`).
The first and the last are also trained for 500 to 16 000 steps on nine tenths of the data; their
quality is the weighted loss (Eq. 14) on those and on the rest, by noise that is the same for all.
Run from the project's root after `dvc repro`: `python -m benchmarks.weighing`.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fisor.agents import TRAINED
from fisor.config.policy import PolicyStage
from fisor.critics import trained
from fisor.data.loading import load
from fisor.data.parquet import read_table, vector
from fisor.data.transitions import Transitions
from fisor.nn import checkpoint
from fisor.nn.networks import forward
from fisor.policies import diffusion, regression, stored, weights
from fisor.policies.score_network import ScoreNetwork
from fisor.training.fit import fit
from stages import command

TASK, METHOD = "PointRobot", "FISOR"
ROWS, AT_ONCE = 4096, 256  # whose gradients are taken one by one
STEPS = 500, 1000, 2000, 4000, 8000, 16000  # of training, for quality
JUDGED = 32768  # rows at most that the quality is taken over, times all T noise levels
BLOCK = 1000  # rows that are left out together: an episode's are much alike


def squared_gradients(network: ScoreNetwork, score: Any, rows: Any, key: jax.Array) -> Any:
    """Of each row's unweighted loss: the gradient's squared norm, `[n]`; and the gradients' sum."""
    schedule = diffusion.schedule(network.levels)

    def of_row(observation: Any, action: Any, key: jax.Array) -> Any:
        time_key, noise_key = jax.random.split(key)
        time = jax.random.randint(time_key, (1,), 1, network.levels + 1)
        noise = jax.random.normal(noise_key, (1, action.shape[-1]))
        noisy = diffusion.add_noise(schedule, action[None], time, noise)

        def loss(score: Any) -> Any:
            return ((noise - forward(network, score, observation[None], noisy, time)) ** 2).sum()

        return jax.grad(loss)(score)

    @jax.jit
    def block(observations: Any, actions: Any, w: Any, key: jax.Array) -> Any:
        keys = jax.random.split(key, observations.shape[0])
        gradients = jax.vmap(of_row)(observations, actions, keys)
        squares = sum((g.reshape(g.shape[0], -1) ** 2).sum(1) for g in jax.tree.leaves(gradients))
        return squares, jax.tree.map(lambda g: jnp.tensordot(w, g, 1), gradients)

    squares, total = [], None
    for first in range(0, len(rows[0]), AT_ONCE):
        part = [array[first : first + AT_ONCE] for array in rows]
        found, summed = block(*part, jax.random.fold_in(key, first))
        squares.append(np.asarray(found))
        total = summed if total is None else jax.tree.map(jnp.add, total, summed)
    return np.concatenate(squares), total


def qualities(params: PolicyStage, data: Transitions, w: np.ndarray, drawn: bool) -> np.ndarray:
    """E[w |noise - z|^2] / E[w] of the averaged network after each of `STEPS`.

    Args:
        params: of the policy.
        data: every tenth block of `BLOCK` rows is left out of training.
        w: `[seeds, n]`.
        drawn: whether rows are drawn by w, or evenly.

    Returns:
        `[steps, 2, seeds]`, over rows trained on and over those left out.
    """
    network = regression.score_network(data.actions.shape[-1], params)
    schedule = diffusion.schedule(params.T)
    left_out = np.arange(len(w[0])) // BLOCK % 10 == 0

    @jax.jit
    def judged(score: Any, own: Any, observations: Any, actions: Any, noise: Any) -> Any:
        def at_level(time: Any, noise: Any) -> Any:
            times = jnp.full(actions.shape[:1], time)
            noisy = diffusion.add_noise(schedule, actions, times, noise)
            wrong = ((noise - forward(network, score, observations, noisy, times)) ** 2).sum(-1)
            return (own * wrong).sum() / own.sum()

        return jax.vmap(at_level)(jnp.arange(1, params.T + 1), noise).mean()

    def of_seeds(scores: Any, rows: np.ndarray) -> np.ndarray:
        picked = np.random.default_rng(1).permutation(rows)[:JUDGED]
        seen = data.observations[picked], data.actions[picked]
        noise = jax.random.normal(jax.random.key(2), (params.T, *seen[1].shape))
        over_seeds = jax.vmap(judged, in_axes=(0, 0, None, None, None))
        return np.asarray(over_seeds(scores, jnp.asarray(w[:, picked]), *seen, noise))

    trained_on, own = jax.tree.map(lambda x: x[~left_out], data), w[:, ~left_out]
    found = []
    for steps in STEPS:
        sized = dataclasses.replace(params, training_steps=steps)
        states, _ = fit(
            regression.init(sized, data),
            regression.update(sized, data.actions.shape[-1]),
            regression.learned_from(trained_on),
            np.ones_like(own) if drawn else own,
            own if drawn else None,
            config=sized,
            batch_size=sized.policy_batch_size,
            name=f"{'drawn by w' if drawn else 'drawn evenly'}, {steps} steps",
        )
        kinds = np.flatnonzero(~left_out), np.flatnonzero(left_out)
        found.append([of_seeds(states.score_average, rows) for rows in kinds])
    return np.asarray(found)


def main() -> None:
    """Print both tables.

    Of the gradient, for each seed: share of zero weights, effective rows of 100, variances.
    """
    params = command.settings(PolicyStage, TASK, METHOD)
    transitions = f"data/transitions/{TASK}.parquet"
    data = load(transitions, None, params.timeouts_are_terminal)
    episode = vector(read_table(transitions, ("episode",)), "episode", transitions)
    both = [trained.load(f"data/{name}/{TASK}") for name in ("feasibility", "reward")]
    w_of_seeds = weights.data_weights(params, data, episode, *both).astype(np.float64)
    folder = Path(f"data/policy/{TASK}/{METHOD}/{TRAINED}")
    networks, stacked = stored.load(folder, checkpoint.load_config(folder))
    assert isinstance(networks.score, ScoreNetwork)
    network = dataclasses.replace(networks.score, dropout=0.0)
    picked = np.random.default_rng(0).permutation(len(data.rewards))[:ROWS]
    header = "seed | w = 0 | effective rows of 100: even | without w = 0 | by w | "
    header += "variance, batches of one: even (= 1) | without w = 0 | by w"
    print(f"| {header} |\n|" + " --- |" * 8)
    for seed, w in enumerate(w_of_seeds):
        share, effective = (w > 0).mean(), 100 * w.sum() ** 2 / (len(w) * (w**2).sum())
        score = jax.tree.map(lambda leaf, seed=seed: leaf[seed], stacked.score)
        own = w[picked]
        rows = data.observations[picked], data.actions[picked], own.astype(np.float32)
        squares, total = squared_gradients(network, score, rows, jax.random.key(seed))
        mean = sum(float((g**2).sum()) for g in jax.tree.leaves(total)) / ROWS**2
        even = (own**2 * squares).mean()
        by_weight = own.mean() * (own * squares).mean()
        variances = np.array([even, (own > 0).mean() * even, by_weight]) - mean
        cells = [1 - share, effective, effective / share, 100.0, *(variances / variances[0])]
        print(f"| {seed} | " + " | ".join(f"{cell:.3g}" for cell in cells) + " |")
    w = w_of_seeds.astype(np.float32)
    ways = [qualities(params, data, w, drawn) for drawn in (False, True)]
    print("\n| steps | drawn evenly: on rows trained on | on others | drawn by w | on others |")
    print("|" + " --- |" * 5)
    for steps, *both_ways in zip(STEPS, *ways, strict=True):
        cells = [", ".join(f"{loss:.3f}" for loss in losses) for way in both_ways for losses in way]
        print(f"| {steps} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
