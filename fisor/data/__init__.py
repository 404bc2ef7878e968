"""Datasets: DSRL's files, their conversion to Parquet, labels, and arrays for training."""
