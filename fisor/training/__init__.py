"""The one training loop: sample indices, batches on the device or fed, checkpoints, curves."""
