"""Studies: grids of simulated campaigns, the oracle, the runner, results."""
