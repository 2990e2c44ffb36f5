"""Which of the checkpoints that ship with tfzoo fits what `tfzoo predict` was asked for."""

from __future__ import annotations

import argparse
from pathlib import Path

from tfzoo.cli import pictures

__all__ = ["find"]

_FOR_TEXT = "perceiver-bytes"
_FOR_QUERIES = "tvp-pans"
_FOR_TWO_PHOTOS = "perceiver-flow"
_FOR_LABELS_ON_A_PHOTO = "owlv2-shapes"
_FOR_LABELS_ON_A_VIDEO = "xclip-camera-motion"
_FOR_ALL_ELSE = "timesformer-camera-motion"


def find(args: argparse.Namespace) -> str:
    """The folder of the shipped checkpoint for what was asked.

    Args:
        args: Of `tfzoo predict`.
    """
    from tfzoo.assets import default_checkpoint

    return str(default_checkpoint(_wanted(args)))


def _wanted(args: argparse.Namespace) -> str:
    if args.text is not None:
        return _FOR_TEXT
    if args.query is not None:
        return _FOR_QUERIES
    are_photos = all(_is_photo(path) for path in args.inputs)
    if args.labels is not None:
        return _FOR_LABELS_ON_A_PHOTO if are_photos else _FOR_LABELS_ON_A_VIDEO
    return _FOR_TWO_PHOTOS if are_photos and len(args.inputs) == 2 else _FOR_ALL_ELSE


def _is_photo(path: Path) -> bool:
    return path.exists() and pictures.is_still(path)
