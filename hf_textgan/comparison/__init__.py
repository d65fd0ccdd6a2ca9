"""Comparison of systems: metrics of several draws, statistical tests and a report."""
