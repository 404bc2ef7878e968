"""Recordings: two evaluated episodes of each task and method as short clips."""
