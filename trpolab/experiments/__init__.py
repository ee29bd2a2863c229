"""Many runs: grids of trials, what may be said of their scores, and the paper's figures and tables."""
