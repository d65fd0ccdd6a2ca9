"""Runs: from a few names to a trainer, and the folder of a trained run. What a command does, in Python."""
