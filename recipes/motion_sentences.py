"""English sentences that say how a camera moves, and unseen ones to test with.

A sentence is an opening, perhaps an adverb, and what the camera does. The sentences of the two
splits are disjoint, and every test sentence has an opening, an adverb or a verb that no training
sentence has; what is essential (left, up, in, away, still, ...) is known from training.
"""

from __future__ import annotations

from itertools import product

from recipes.camera_motion import LABELS

__all__ = ["sentences"]

_OPENINGS = {
    "train": (
        "the camera {}",
        "a camera that {}",
        "a shot in which the camera {}",
        "a video whose camera {}",
        "here the camera {}",
        "we see that the camera {}",
        "now the camera of the film {}",
        "a scene where the camera {}",
        "notice that the camera {}",
        "in the next scene the camera {}",
        "it seems that the camera {}",
        "the person who holds the camera {}",
        "one can see that it {}",
        "a film in which it {}",
    ),
    "test": (
        "in this clip the camera {}",
        "watch how the camera {}",
        "footage of a camera that {}",
        "the operator makes sure that the camera {}",
    ),
}
_ADVERBS = {
    "train": (
        *(
            "",
            "slowly ",
            "quickly ",
            "gently ",
            "steadily ",
            "calmly ",
            "suddenly ",
            "now ",
            "then ",
        ),
        *("soon ", "also ", "always ", "simply ", "finally ", "softly ", "evenly ", "once more "),
    ),
    "test": ("", "smoothly ", "again "),
}
_MOVES = {
    "train": ("pans", "turns", "moves", "swings", "slides", "glides"),
    "test": ("pans", "drifts", "travels"),
}
_SIDES = {
    "pan left": ("left", "to the left", "leftwards", "towards the left"),
    "pan right": ("right", "to the right", "rightwards", "towards the right"),
    "pan up": ("up", "to the top", "upwards", "towards the top"),
    "pan down": ("down", "to the bottom", "downwards", "towards the bottom"),
}
_DOINGS = {
    "train": {
        "zoom in": (
            "zooms in",
            "moves closer",
            "comes nearer",
            "closes in",
            "goes in closer",
            "zooms in closer",
            "gets closer",
            "draws nearer",
            "zooms in on a detail",
            "moves in",
            "steps nearer",
        ),
        "zoom out": (
            "zooms out",
            "moves away",
            "pulls back",
            "goes farther away",
            "draws back",
            "zooms out farther",
            "steps back",
            "moves back",
            "backs away",
            "gets farther away",
            "zooms out of a detail",
        ),
        "still": (
            "does not move",
            "stays still",
            "stands still",
            "is held still",
            "does not turn",
            "is not moving",
            "holds still",
            "is still",
            "sits still",
            "does not zoom",
            "does not swing",
        ),
    },
    "test": {
        "zoom in": ("comes closer", "goes nearer", "zooms in on something"),
        "zoom out": ("goes back", "moves farther away", "zooms out of something"),
        "still": ("keeps still", "remains still", "does not pan"),
    },
}


def sentences(label: str, split: str) -> list[str]:
    """All sentences for one motion, in a fixed order.

    Args:
        label: One of `camera_motion.LABELS`.
        split: "train" or "test".

    Raises:
        ValueError: Neither.

    Example:
        >>> sentences("pan left", "train")[0]
        'the camera pans left'
    """
    if label not in LABELS:
        raise ValueError(f"label must be one of {', '.join(LABELS)}; got {label!r}")
    if split not in _OPENINGS:
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    if label in _SIDES:
        doings = [" ".join(pair) for pair in product(_MOVES[split], _SIDES[label])]
    else:
        doings = list(_DOINGS[split][label])
    parts = product(_OPENINGS[split], _ADVERBS[split], doings)
    return [opening.format(adverb + doing) for opening, adverb, doing in parts]
