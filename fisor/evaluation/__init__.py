"""Evaluation of policies: batched rollouts, DSRL's scores, intervals, feasible regions."""
