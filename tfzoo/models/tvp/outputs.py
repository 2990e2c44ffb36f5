"""Outputs of TVP."""

from __future__ import annotations

from typing import Any

from tfzoo.core.outputs import ModelOutput

__all__ = ["TFTvpVideoGroundingOutput"]


class TFTvpVideoGroundingOutput(ModelOutput):
    """Output of `TFTvpForVideoGrounding`.

    Attributes:
        loss: (B,), the loss of each sample, present when labels were given; `fit` takes its mean.
        logits: (B, 2), start and end of the span as fractions of the video's duration.
        hidden_states: L + 1 tensors (B, N, D), the embeddings and each layer's output.
        attentions: L tensors (B, H, N, N), attention maps after the softmax.
    """

    loss: Any | None
    logits: Any
    hidden_states: tuple[Any, ...] | None
    attentions: tuple[Any, ...] | None
