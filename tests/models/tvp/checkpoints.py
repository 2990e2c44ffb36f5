"""Small checkpoints of TVP: for the published one, and to be served."""

from __future__ import annotations

from functools import partial

from tests.support.cases import Head
from tests.support.tvp_checkpoint import write_tvp_checkpoint

__all__ = ["PUBLISHED", "SERVED"]

PUBLISHED = {"Jiqing/tiny-random-tvp": partial(write_tvp_checkpoint, num_frames=1)}
SERVED = {"tvp": Head(write_tvp_checkpoint)}
