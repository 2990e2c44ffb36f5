"""LXMERT's known answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfzoo.modeling.expected import Answer, Number

__all__ = ["ANSWERS"]

_IDS = (101, 345, 232, 328, 740, 140, 1695, 69, 6078, 1588, 102)
_OBJECTS = 10


def _question(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    model = load("TFLxmertModel")
    # The same seed for both, as published.
    feats, boxes = (
        np.random.RandomState(0).rand(1, _OBJECTS, width).astype("float32")
        for width in (model.config.visual_feat_dim, model.config.visual_pos_dim)
    )
    return model(input_ids=np.array([_IDS]), visual_feats=feats, visual_pos=boxes)


ANSWERS = (
    Answer(
        "unc-nlp/lxmert-base-uncased",
        "hidden states of 11 tokens about 10 random objects",
        _question,
        (
            Number(
                "language_output",
                (
                    (0.24170142, -0.98075, 0.14797261),
                    (1.2540525, -0.83198136, 0.5112344),
                    (1.4070463, -1.1051831, 0.6990401),
                ),
                np.s_[0, :3, :3],
                (1, 11, 768),
            ),
        ),
    ),
)
