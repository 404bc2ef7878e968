"""The critics: the feasible values Q_h, V_h and the reward values Q_r, V_r."""
