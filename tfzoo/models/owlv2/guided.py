"""Detection of what another image shows (Minderer et al. 2022, section 4.4, "one-shot")."""

from __future__ import annotations

from typing import Any

from keras import ops

from tfzoo.core.keras_compat import concrete
from tfzoo.layers.clip_towers import first_maximum
from tfzoo.models.owlv2.model import IMAGES, bind, check_images
from tfzoo.models.owlv2.towers import images_input

__all__ = ["GuidedDetectionMixin", "choose_queries", "to_corners"]

_INPUTS = (IMAGES, images_input("query_pixel_values", "vision_config."))
_STRATEGIES = ("iou", "objectness")
_KEPT = 0.8  # of the best overlap: boxes that may become the query


class GuidedDetectionMixin:
    """`image_guided_detection` of the detectors."""

    def image_guided_detection(
        self,
        pixel_values: Any = None,
        query_pixel_values: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        interpolate_pos_encoding: bool = False,
        query_boxes: Any = None,
        strategy: str = "iou",
    ) -> Any:
        """Find what the query images show.

        Args:
            pixel_values: (B, C, height, width), images to search, or a dict of both inputs.
            query_pixel_values: (B or 1, C, height, width), one query image for each.
            output_attentions: Return the attention maps; the config's choice where None.
            output_hidden_states: Return all hidden states; the config's choice where None.
            return_dict: Return an output object rather than a tuple; the config's where None.
            interpolate_pos_encoding: Take images of another size than the config's.
            query_boxes: (B or 1, 4), where the object is in its query image: x0, y0, x1, y1 in
                parts of the model's image (for OWLv2, pixels divided by the longer side of the
                image, since its processor pads to a square). The whole image where None.
            strategy: `"iou"`, the reference's rule: of the boxes that overlap the query box most,
                that which is least like the mean of all. `"objectness"`: the box most likely to
                hold an object (OWLv2 only; newer releases of the reference do this).

        Returns:
            The guided output; `query_indices` (B,) says which of `query_pred_boxes` was chosen.

        Raises:
            ValueError: Missing images, images of another size, boxes outside [0, 1] or without
                an area, an unknown strategy, or objectness where the model has none.
        """
        owner = f"{type(self).__name__}.image_guided_detection"
        self._check_strategy(owner, strategy, query_boxes)
        others = {"query_pixel_values": query_pixel_values}
        inputs = bind(_INPUTS, owner, pixel_values, others, self.config)
        for images in inputs.values():
            check_images(owner, images.shape, self.config, interpolate_pos_encoding)
        config = self.config
        flags = {
            "output_attentions": _choice(output_attentions, config.output_attentions),
            "output_hidden_states": _choice(output_hidden_states, config.output_hidden_states),
        }
        query_map, _ = self.image_embedder(inputs["query_pixel_values"], interpolate_pos_encoding)
        feature_map, vision = self.image_embedder(
            inputs["pixel_values"], interpolate_pos_encoding, **flags
        )
        query, index, query_boxes = self._choose(query_map, _boxes(query_boxes, owner), strategy)
        features = _flat(feature_map)
        logits, class_embeds = self.class_head(features, query)
        outputs = self.guided_output_class(
            logits=logits,
            image_embeds=feature_map,
            query_image_embeds=query_map,
            target_pred_boxes=self.box_predictor(features, feature_map),
            query_pred_boxes=query_boxes,
            class_embeds=class_embeds,
            vision_model_output=vision,
            query_indices=index,
        )
        return outputs if _choice(return_dict, config.return_dict) else outputs.to_tuple()

    def _check_strategy(self, owner: str, strategy: str, query_boxes: Any) -> None:
        if strategy not in _STRATEGIES:
            raise ValueError(f"{owner}: strategy must be one of {_STRATEGIES}, got {strategy!r}.")
        if strategy == "objectness" and not self.has_objectness:
            raise ValueError(f"{owner}: this model has no objectness; use strategy='iou'.")
        if strategy == "objectness" and query_boxes is not None:
            raise ValueError(f"{owner}: query_boxes need strategy='iou'.")

    def _choose(self, query_map: Any, query_boxes: Any, strategy: str) -> tuple[Any, Any, Any]:
        """Embeddings (B, 1, P) of the chosen boxes, their indices (B,), and all boxes (B, N, 4)."""
        features = _flat(query_map)
        boxes, embeds = self.box_predictor(features, query_map), self.class_head.embed(features)
        if strategy == "objectness":
            index = first_maximum(self.objectness_predictor(features))
        else:
            index = choose_queries(embeds, to_corners(boxes), query_boxes)
        query = ops.take_along_axis(embeds, index[:, None, None], axis=1)
        return query, index, boxes


def choose_queries(embeds: Any, corners: Any, query_boxes: Any) -> Any:
    """The box of each query image that stands for its object.

    Of the boxes whose overlap with the query box is at least 0.8 of the best, the one whose
    embedding is least like the mean of all: most boxes are background. Where nothing overlaps,
    the generalised overlap decides, which also knows how far away a box is.

    Args:
        embeds: (B, N, D).
        corners: (B, N, 4), x0, y0, x1, y1.
        query_boxes: (B or 1, 4), in the same form.

    Returns:
        (B,), indices.

    Source: the reference's embed_image_query.
    """
    overlap, generalised = _overlaps(ops.cast(corners, "float32"), query_boxes[:, None])
    nothing = ops.all(ops.equal(overlap, 0.0), axis=1, keepdims=True)
    overlap = ops.where(nothing, generalised, overlap)
    kept = overlap >= ops.max(overlap, axis=1, keepdims=True) * _KEPT
    embeds = ops.cast(embeds, "float32")
    mean = ops.mean(embeds, axis=1, keepdims=True)
    likeness = ops.sum(embeds * mean, axis=-1)
    return first_maximum(ops.where(kept, -likeness, -float("inf")))


def _overlaps(boxes: Any, target: Any) -> tuple[Any, Any]:
    """Intersection over union of boxes (..., 4) and a target, and its generalised form."""

    def area(box: Any) -> Any:
        return (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])

    def span(low: Any, high: Any) -> Any:
        sides = ops.maximum(high - low, 0.0)
        return sides[..., 0] * sides[..., 1]

    shared = span(
        ops.maximum(boxes[..., :2], target[..., :2]), ops.minimum(boxes[..., 2:], target[..., 2:])
    )
    union = area(boxes) + area(target) - shared
    hull = span(
        ops.minimum(boxes[..., :2], target[..., :2]), ops.maximum(boxes[..., 2:], target[..., 2:])
    )
    overlap = shared / union
    return overlap, overlap - (hull - union) / hull


def to_corners(boxes: Any) -> Any:
    """Boxes by their centre and size -> boxes by their corners.

    Args:
        boxes: (..., 4), centre x, centre y, width, height.

    Returns:
        (..., 4), x0, y0, x1, y1.
    """
    centre, half = boxes[..., :2], 0.5 * boxes[..., 2:]
    return ops.concatenate([centre - half, centre + half], axis=-1)


def _boxes(query_boxes: Any, owner: str) -> Any:
    """(B, 4) of the query boxes; the whole image where there are none."""
    if query_boxes is None:
        query_boxes = [[0.0, 0.0, 1.0, 1.0]]
    boxes = ops.convert_to_tensor(query_boxes, "float32")
    if len(boxes.shape) != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{owner}: query_boxes must have shape (B, 4), got {tuple(boxes.shape)}.")
    values = concrete(boxes)
    if values is not None:
        inside = (values >= 0).all() and (values <= 1).all()
        if not inside or not (values[:, 2:] > values[:, :2]).all():
            raise ValueError(
                f"{owner}: query_boxes must be x0 < x1, y0 < y1 within [0, 1], got "
                f"{values.tolist()}. Divide pixels by the image's size."
            )
    return boxes


def _choice(value: Any, default: Any) -> Any:
    return default if value is None else value


def _flat(feature_map: Any) -> Any:
    """(B, rows, columns, D) -> (B, rows columns, D)."""
    return ops.reshape(feature_map, (ops.shape(feature_map)[0], -1, feature_map.shape[-1]))
