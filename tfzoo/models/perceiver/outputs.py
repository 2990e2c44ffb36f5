"""What the Perceiver models return."""

from __future__ import annotations

from typing import Any

from tfzoo.core.outputs import ModelOutput

__all__ = [
    "TFPerceiverClassifierOutput",
    "TFPerceiverDecoderOutput",
    "TFPerceiverMaskedLMOutput",
    "TFPerceiverModelOutput",
]


class TFPerceiverModelOutput(ModelOutput):
    """Output of `TFPerceiverModel`.

    Attributes:
        logits: What the decoder and the postprocessor give; absent without a decoder.
        last_hidden_state: (B, latents, D), the latents after the last layer.
        hidden_states: For each block the latents before each of its layers and after the last one,
            so that the state between two blocks stands there twice; (B, latents, D) each.
        attentions: (B, H, latents, latents), the maps of each self-attention layer that was run.
        cross_attentions: (B, H, latents, N) of the encoder, then (B, H, Q, latents) of the decoder.
    """

    logits: Any | None
    last_hidden_state: Any
    hidden_states: tuple[Any, ...] | None
    attentions: tuple[Any, ...] | None
    cross_attentions: tuple[Any, ...] | None


class TFPerceiverDecoderOutput(ModelOutput):
    """Output of a decoder.

    Attributes:
        logits: (B, Q, C), or as the decoder shapes them.
        cross_attentions: A tuple of one map (B, H, Q, latents), where asked for.
    """

    logits: Any
    cross_attentions: tuple[Any, ...] | None


class TFPerceiverMaskedLMOutput(ModelOutput):
    """Output of the masked language model.

    Attributes:
        loss: Scalar, present when labels were given.
        logits: (B, max_position_embeddings, vocab_size), scores before the softmax.
        hidden_states: See `TFPerceiverModelOutput`.
        attentions: See `TFPerceiverModelOutput`.
        cross_attentions: See `TFPerceiverModelOutput`.
    """

    loss: Any | None
    logits: Any
    hidden_states: tuple[Any, ...] | None
    attentions: tuple[Any, ...] | None
    cross_attentions: tuple[Any, ...] | None


class TFPerceiverClassifierOutput(ModelOutput):
    """Output of the classifiers, of optical flow and of multimodal autoencoding.

    Attributes:
        loss: Scalar, present when labels were given.
        logits: (B, labels); for flow (B, height, width, 2); for multimodal autoencoding a dict.
        hidden_states: See `TFPerceiverModelOutput`.
        attentions: See `TFPerceiverModelOutput`.
        cross_attentions: See `TFPerceiverModelOutput`.
    """

    loss: Any | None
    logits: Any
    hidden_states: tuple[Any, ...] | None
    attentions: tuple[Any, ...] | None
    cross_attentions: tuple[Any, ...] | None
