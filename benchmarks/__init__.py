"""Speed, measured by ratio in one run."""
