"""CLIP's contrastive loss."""

from __future__ import annotations

import keras
from keras import ops

from tfzoo.core.types import Tensor

__all__ = ["contrastive_loss"]


def contrastive_loss(
    per_text: Tensor,
    per_picture: Tensor | None = None,
    pairs: Tensor | None = None,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Loss of a batch of pairs: each text has to find its image or video, and vice versa.

    Args:
        per_text: (B, B) logits of the texts with the images, the pair i on the diagonal. Where a
            device holds some of the pairs: (b, B), its texts with all images.
        per_picture: The same of the images with the texts; the transpose where None.
        pairs: (b,), the column of each row's partner; 0, 1, 2, ... where None.
        sample_weight: (b,), weight of each pair.

    Returns:
        Scalar, the mean of the cross-entropies over rows and over columns.

    Raises:
        ValueError: The numbers of texts and images differ.

    Source: Radford et al. 2021, arXiv:2103.00020, figure 3.

    Example:
        >>> import numpy as np
        >>> round(float(contrastive_loss(np.zeros((4, 4)))), 5)  # ln 4
        1.38629
    """
    per_picture = ops.transpose(per_text) if per_picture is None else per_picture
    rows, columns = per_text.shape[0], per_picture.shape[0]
    if rows is not None and columns is not None and rows != columns:
        raise ValueError(
            f"A contrastive loss needs pairs, as many texts as videos or images, got {rows} and "
            f"{columns}."
        )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    pairs = ops.arange(ops.shape(per_text)[0]) if pairs is None else pairs
    one, other = (
        loss(pairs, ops.cast(scores, "float32"), sample_weight)
        for scores in (per_text, per_picture)
    )
    return (one + other) / 2
