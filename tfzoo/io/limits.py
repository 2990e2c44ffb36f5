"""How many pixels an input may unfold to, so that a small file cannot exhaust the memory."""

from __future__ import annotations

__all__ = [
    "CANVAS_PIXELS",
    "CLIP_PIXELS",
    "DOWNLOAD_BYTES",
    "FLOW_PIXELS",
    "FRAME_PIXELS",
    "MOST_FRAMES",
    "RESIZED_PIXELS",
]

#: Of one frame of a video, height times width: twice those of 8K.
FRAME_PIXELS = 2**26
#: Of all frames that are kept at a time: 6.4 GB.
CLIP_PIXELS = 2**31
#: Frames that may be asked for by their number, and the distance between them.
MOST_FRAMES = 2**20
#: Of an image that was resized, cropped or padded: 4096 x 4096.
RESIZED_PIXELS = 2**24
#: Of the square that an image of any shape is put on before it is resized: 16384 x 16384.
CANVAS_PIXELS = 2**28
#: Of each of two frames between which the optical flow is computed: 8K.
FLOW_PIXELS = 2**25
#: Of a file whose address a task is given: 1 GiB.
DOWNLOAD_BYTES = 2**30
