"""The reach-avoid task of the paper (Appendix D.1): dynamics, true feasible region, environment."""
