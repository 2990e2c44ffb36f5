"""Outputs of OWLv2 and OWL-ViT."""

from __future__ import annotations

from typing import Any

from tfzoo.core.outputs import ModelOutput, TFBaseModelOutputWithPooling

__all__ = [
    "TFOwlViTImageGuidedObjectDetectionOutput",
    "TFOwlViTObjectDetectionOutput",
    "TFOwlViTOutput",
    "TFOwlv2ImageGuidedObjectDetectionOutput",
    "TFOwlv2ObjectDetectionOutput",
    "TFOwlv2Output",
]


class TFOwlv2Output(ModelOutput):
    """Output of `TFOwlv2Model`, of B images and Q texts.

    Attributes:
        loss: Scalar, the contrastive loss, present when asked for.
        logits_per_image: (B, Q), scaled similarities.
        logits_per_text: (Q, B), the same transposed.
        text_embeds: (Q, P), of length 1.
        image_embeds: (B, P), of length 1.
        text_model_output: Output of the text tower.
        vision_model_output: Output of the vision tower.
    """

    loss: Any | None
    logits_per_image: Any
    logits_per_text: Any
    text_embeds: Any
    image_embeds: Any
    text_model_output: TFBaseModelOutputWithPooling
    vision_model_output: TFBaseModelOutputWithPooling


class TFOwlv2ObjectDetectionOutput(ModelOutput):
    """Output of `TFOwlv2ForObjectDetection`, of B images with Q queries each; N patches, each of
    which predicts one box.

    Attributes:
        loss: Scalar, present when labels were given.
        loss_dict: The parts of the loss by name, present when labels were given.
        logits: (B, N, Q), float32; the sigmoid is the score of a box for a query.
        objectness_logits: (B, N), whether a box holds any object; OWL-ViT has none.
        pred_boxes: (B, N, 4), centre x, centre y, width, height in parts of the model's image.
        text_embeds: (B, Q, P), of length 1.
        image_embeds: (B, rows, columns, D), the features of the patches.
        class_embeds: (B, N, D of the text tower), of length 1.
        text_model_output: Output of the text tower; absent where a bank of queries was given.
        vision_model_output: Output of the vision tower.
    """

    loss: Any | None
    loss_dict: dict[str, Any] | None
    logits: Any
    objectness_logits: Any | None
    pred_boxes: Any
    text_embeds: Any
    image_embeds: Any
    class_embeds: Any
    text_model_output: TFBaseModelOutputWithPooling | None
    vision_model_output: TFBaseModelOutputWithPooling


class TFOwlv2ImageGuidedObjectDetectionOutput(ModelOutput):
    """Output of `image_guided_detection`.

    Attributes:
        logits: (B, N, 1), the sigmoid is the likeness of a box to the query.
        image_embeds: (B, rows, columns, D), the features of the patches.
        query_image_embeds: The same of the query images.
        target_pred_boxes: (B, N, 4), centre x, centre y, width, height in parts of the image.
        query_pred_boxes: The same of the query images.
        class_embeds: (B, N, D of the text tower), of length 1.
        text_model_output: Always absent.
        vision_model_output: Output of the vision tower on the target images.
        query_indices: (B,), the box of each query image that became the query.
    """

    logits: Any
    image_embeds: Any
    query_image_embeds: Any
    target_pred_boxes: Any
    query_pred_boxes: Any
    class_embeds: Any
    text_model_output: TFBaseModelOutputWithPooling | None
    vision_model_output: TFBaseModelOutputWithPooling
    query_indices: Any


class TFOwlViTOutput(TFOwlv2Output):
    """Output of `TFOwlViTModel`, see `TFOwlv2Output`."""


class TFOwlViTObjectDetectionOutput(TFOwlv2ObjectDetectionOutput):
    """Output of `TFOwlViTForObjectDetection`, without `objectness_logits`."""


class TFOwlViTImageGuidedObjectDetectionOutput(TFOwlv2ImageGuidedObjectDetectionOutput):
    """Output of OWL-ViT's `image_guided_detection`."""
