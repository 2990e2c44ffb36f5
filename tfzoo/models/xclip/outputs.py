"""Outputs of X-CLIP."""

from __future__ import annotations

from typing import Any

from tfzoo.core.outputs import ModelOutput, TFBaseModelOutputWithPooling

__all__ = ["TFXCLIPOutput"]


class TFXCLIPOutput(ModelOutput):
    """Output of `TFXCLIPModel`, of B videos and Q texts.

    Attributes:
        loss: Scalar, the contrastive loss, present when asked for.
        logits_per_video: (B, Q), scaled similarities; a softmax over the last axis ranks the texts.
        logits_per_text: (Q, B), the same transposed.
        text_embeds: (B, Q, P), the texts with each video's prompts, of length 1.
        video_embeds: (B, P), of length 1.
        text_model_output: Output of the text tower, see `TFXCLIPTextModel`.
        vision_model_output: Output of the vision tower, see `TFXCLIPVisionModel`.
        mit_output: Output of the integration transformer: `last_hidden_state` (B, T, P),
            `pooler_output` (B, P), `hidden_states`, `attentions` (B, H, T, T).
    """

    loss: Any | None
    logits_per_video: Any
    logits_per_text: Any
    text_embeds: Any
    video_embeds: Any
    text_model_output: TFBaseModelOutputWithPooling
    vision_model_output: TFBaseModelOutputWithPooling
    mit_output: TFBaseModelOutputWithPooling
