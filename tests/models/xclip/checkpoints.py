"""Small checkpoints of X-CLIP: for the published one, and to be served."""

from __future__ import annotations

from tests.support.cases import Head
from tests.support.xclip_checkpoint import write_xclip_checkpoint

__all__ = ["PUBLISHED", "SERVED"]

PUBLISHED = {"microsoft/xclip-base-patch32": write_xclip_checkpoint}
SERVED = {"xclip": Head(write_xclip_checkpoint, {"labels": ["a cat", "two dogs"]})}
