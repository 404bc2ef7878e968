"""Which of the evaluated episodes are recorded."""

import numpy as np

MEDIAN, WORST = "median", "worst"


def chosen_episodes(costs: np.ndarray, returns: np.ndarray) -> dict[str, int]:
    """The median episode, and the worst one.

    The median one is in the middle of the order by cost, then by return (the lower of the two in
    the middle of an even number). The worst one has the highest cost and, among those of equal
    cost, the lowest return. Of equal episodes the first one counts.

    Args:
        costs: `[n]` cost of each episode, at least one.
        returns: `[n]` its return.

    Returns:
        The index of the episode by `median` and `worst`; `median` alone where both are the same.
    """
    order = np.lexsort((returns, costs))
    median = int(order[(order.size - 1) // 2])
    worst = int(np.lexsort((returns, -costs))[0])
    return {MEDIAN: median} | ({} if worst == median else {WORST: worst})
