"""How a policy does: batched rollouts, DSRL's scores, intervals, learned against true regions."""
