"""Methods that learn by themselves: one module each, found by its name in `fisor.methods`."""
