"""A detector's answer in the form of TensorFlow's Object Detection API."""

from __future__ import annotations

import tensorflow as tf

from tfzoo.export.endpoint import ServingOptions

__all__ = ["corners_in_pixels", "detections"]


def corners_in_pixels(boxes: tf.Tensor, sizes: tf.Tensor, square: bool) -> tf.Tensor:
    """Bring a model's boxes to pixels of the original images, and clip them.

    Args:
        boxes: (B, N, 4), centre x, centre y, width, height as fractions of the model's image.
        sizes: (B, 2) int32, height and width of the images.
        square: Whether they were padded to a square, at the bottom and on the right.

    Returns:
        (B, N, 4) float32: ymin, xmin, ymax, xmax.
    """
    x, y, width, height = tf.unstack(tf.cast(boxes, tf.float32), axis=-1)
    tops, lefts = y - 0.5 * height, x - 0.5 * width
    corners = tf.stack([tops, lefts, y + 0.5 * height, x + 0.5 * width], axis=-1)
    limits = tf.cast(tf.tile(sizes, (1, 2))[:, None], tf.float32)
    scale = tf.reduce_max(limits, axis=-1, keepdims=True) if square else limits
    return tf.minimum(tf.maximum(corners * scale, 0), limits)


def detections(
    logits: tf.Tensor, boxes: tf.Tensor, names: tf.Tensor, options: ServingOptions
) -> dict[str, tf.Tensor]:
    """Take each box's best class, and of overlapping boxes of one class the best.

    Args:
        logits: (B, N, Q), whose sigmoid is the score of a box for a class.
        boxes: (B, N, 4) float32, corners; boxes without an area are left out.
        names: (1 or B, Q) strings, of the classes.
        options: `threshold`, `iou_threshold`, `max_detections` M.

    Returns:
        `detection_boxes` (B, M, 4), `detection_scores` (B, M), `detection_classes` (B, M) int32,
        which count from 1 as label maps do, `detection_class_names` (B, M), the best first, and
        `num_detections` (B,) int32; the rows past it are zeros and empty names.

    Example:
        >>> boxes = tf.constant([[[0.0, 0, 9, 9], [0, 0, 9, 8], [5, 5, 9, 9]]])
        >>> logits = tf.constant([[[0.0, -5], [2, -5], [-5, 1]]])
        >>> names = tf.constant([["cat", "dog"]])
        >>> found = detections(logits, boxes, names, ServingOptions(max_detections=3))
        >>> found["detection_class_names"].numpy().tolist(), found["num_detections"].numpy()
        ([[b'cat', b'dog', b'']], array([2], dtype=int32))
    """
    logits = tf.cast(logits, tf.float32)
    has_area = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1)
    scores = tf.where(has_area, tf.sigmoid(tf.reduce_max(logits, axis=-1)), 0)
    best = tf.one_hot(tf.argmax(logits, axis=-1), tf.shape(logits)[-1])
    found = tf.image.combined_non_max_suppression(
        boxes[:, :, None],
        scores[..., None] * best,
        max_output_size_per_class=options.max_detections,
        max_total_size=options.max_detections,
        iou_threshold=options.iou_threshold,
        score_threshold=options.threshold,
        clip_boxes=False,
    )
    counts = tf.range(options.max_detections) < found.valid_detections[:, None]
    classes = tf.cast(found.nmsed_classes, tf.int32)
    names = tf.broadcast_to(names, (tf.shape(logits)[0], tf.shape(logits)[-1]))
    return {
        "detection_boxes": found.nmsed_boxes,
        "detection_scores": found.nmsed_scores,
        "detection_classes": tf.where(counts, classes + 1, 0),
        "detection_class_names": tf.where(counts, tf.gather(names, classes, batch_dims=1), ""),
        "num_detections": found.valid_detections,
    }
