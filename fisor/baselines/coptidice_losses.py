"""COptiDICE's equations (Lee et al., ICLR 2022), each of one row or of scalars; callers vmap.

With d^D the data's distribution and d a policy's normalised discounted one, the method maximises
E_d[r] - alpha D_f(d || d^D) where an upper bound of E_d[c] is at most a threshold. The dual has
values nu of a state and a multiplier lambda; w = d / d^D then weighs behaviour cloning. The bound
is over all distributions of rows within a Kullback-Leibler radius epsilon of the data's, and has a
dual of its own, with values chi of a state and a temperature tau. A row is (s_0, s, a, s'), its s_0
an initial state that is independent of the rest.
"""

import jax
import jax.numpy as jnp

Array = jax.Array

LEAST_WEIGHT = 1e-30  # whose logarithm is finite in float32


def divergence(weight: Array) -> Array:
    """The soft chi-squared f: w (ln w - 1) + 1 below 1, (w - 1)^2 / 2 from there on; `[]`."""
    below = weight * (jnp.log(jnp.clip(weight, LEAST_WEIGHT, 1.0)) - 1) + 1
    return jnp.where(weight < 1, below, jnp.square(weight - 1) / 2)


def weight_of(slope: Array) -> Array:
    """The inverse of f's derivative, never below 0: e^x below 0, x + 1 from there on; `[]`."""
    return jnp.where(slope < 0, jnp.exp(jnp.minimum(slope, 0.0)), slope + 1)


def difference(value: Array, next_value: Array, terminal: Array, gamma: float) -> Array:
    """What a value rises by in a step: gamma v(s') - v(s), only - v(s) at a terminal; `[]`."""
    return gamma * jnp.where(terminal, 0.0, next_value) - value


def advantage(reward: Array, cost: Array, nu_difference: Array, multiplier: Array) -> Array:
    """The advantage e = r - lambda c + gamma nu(s') - nu(s), all `[]`.

    Args:
        reward: r, scaled.
        cost: c.
        nu_difference: of nu, see `difference`.
        multiplier: lambda.
    """
    return reward - multiplier * cost + nu_difference


def nu_loss(nu_initial: Array, e: Array, gamma: float, alpha: float) -> tuple[Array, Array]:
    """(1 - gamma) nu(s_0) + w e - alpha f(w) with the best w = (f')^-1(e / alpha), and that w.

    Args:
        nu_initial: `[]` nu(s_0).
        e: `[]` the row's `advantage`.
        gamma: discount.
        alpha: of the divergence.
    """
    weight = weight_of(e / alpha)
    return (1 - gamma) * nu_initial + weight * e - alpha * divergence(weight), weight


def cost_residual(
    weight: Array, cost: Array, chi_initial: Array, chi_difference: Array, gamma: float
) -> Array:
    """The row's l = (1 - gamma) chi(s_0) + w (c + gamma chi(s') - chi(s)), all `[]`.

    Its mean is E[w c], plus chi times what the flow of w lacks to be a policy's.

    Args:
        weight: w.
        cost: c.
        chi_initial: chi(s_0).
        chi_difference: of chi, see `difference`.
        gamma: discount.
    """
    return (1 - gamma) * chi_initial + weight * (cost + chi_difference)


def bound_loss(residuals: Array, temperature: Array, epsilon: float) -> Array:
    """The cost's upper bound, tau (ln E[exp(l / tau)] + epsilon), which chi and tau minimise.

    Its gradient by l is that of E[l] with the weights `pessimism`; the one by tau is epsilon less
    their divergence from even weights.

    Args:
        residuals: `[B]` l.
        temperature: `[]` tau, above 0.
        epsilon: the radius.
    """
    log_mean = jax.nn.logsumexp(residuals / temperature) - jnp.log(residuals.shape[0])
    return temperature * (log_mean + epsilon)


def pessimism(residuals: Array, temperature: Array) -> Array:
    """The bound's weights of rows, in proportion to exp(l / tau) and 1 in the mean, `[B]`."""
    return residuals.shape[0] * jax.nn.softmax(residuals / temperature)


def multiplier_loss(multiplier: Array, cost: Array, threshold: float) -> Array:
    """Lambda times (threshold - cost), `[]`: lambda rises while the cost is above it."""
    return multiplier * (threshold - cost)


def policy_loss(weight: Array, log_density: Array) -> Array:
    """- w log pi(a | s), all `[]`: behaviour cloning of the corrected distribution."""
    return -weight * log_density
