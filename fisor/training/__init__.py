"""The one training loop: sampling, batches on the device or from the host, checkpoints, curves."""
