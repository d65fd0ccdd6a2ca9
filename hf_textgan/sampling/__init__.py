"""Sampling from generators; knows token ids only, neither tokenizers nor rewards."""

from .categorical import draw_categorical
from .rollout_engine import RolloutChunk, RolloutEngine, Samples


__all__ = ["RolloutChunk", "RolloutEngine", "Samples", "draw_categorical"]
