"""The training loop of every task: steps, state, optimization, processes, run folder, progress."""
