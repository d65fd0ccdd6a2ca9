"""Sampling from generators; knows token ids only, neither tokenizers nor rewards."""

from .categorical import draw_categorical
from .negative_pool import NegativePool
from .rollout_engine import RolloutChunk, RolloutEngine, Samples


__all__ = ["NegativePool", "RolloutChunk", "RolloutEngine", "Samples", "draw_categorical"]
