"""TimeSformer's preprocessing: VideoMAE's processor, which its checkpoints name."""

from __future__ import annotations

from tfzoo.preprocessing.videomae import VideoMAEImageProcessor

__all__ = ["VideoMAEImageProcessor"]
