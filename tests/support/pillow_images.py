"""Read Pillow's own test images, in Python and in a served graph.

    python -m tests.support.pillow_images pillow-x.y.z/Tests/images

They are in its source distribution (`pip download pillow --no-binary :all: --no-deps`). Printed is
how many are read, how many are refused and why, and which come out otherwise in the graph; the exit
status is 1 where a file raises anything but `ImageError`.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfzoo.export.graph.images import decode_image
from tfzoo.io import ImageError, read_image

__all__ = ["main"]

_SERVED = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    warnings.simplefilter("ignore")  # Pillow's about odd files
    read, refused, served, raw = 0, Counter(), Counter(), 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        pixels = None
        try:
            pixels = read_image(path)
            read += 1
        except ImageError as error:
            refused[_kind(path, error)] += 1
        except Exception as error:
            raw += 1
            print(f"RAW {name}: {type(error).__name__}: {error}")
        content = path.read_bytes()
        if content.startswith(_SERVED):
            kind = _in_graph(content, pixels)
            served[kind.partition(":")[0]] += 1
            if not kind.startswith(("same", "both")):
                print(f"graph {name}: {kind}")
    print(f"{read} read, {sum(refused.values())} refused, {raw} raw errors")
    for reason, count in refused.most_common():
        print(f"{count:5} {reason}")
    print("in the graph:", dict(served))
    return int(raw > 0)


def _kind(path: Path, error: ImageError) -> str:
    return str(error).removeprefix(f"{path}: ").replace("\n", " ")[:90]


def _in_graph(content: bytes, pixels: np.ndarray | None) -> str:
    try:
        image = decode_image(tf.constant(content)).numpy()
    except tf.errors.InvalidArgumentError as error:
        reason = str(error.message).replace("\n", " ")[:90]
        return "both refuse" if pixels is None else f"refused in the graph alone: {reason}"
    if pixels is None:
        return "read in the graph alone"
    if image.shape != pixels.shape:
        return f"other shape: {image.shape}, in Python {pixels.shape}"
    largest = int(np.abs(image.astype(int) - pixels).max())
    return f"other pixels: by up to {largest}" if largest else "same"


if __name__ == "__main__":
    sys.exit(main())
