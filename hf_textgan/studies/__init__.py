"""Studies of several runs: a system beside its maximum-likelihood baseline, and with several seeds."""
