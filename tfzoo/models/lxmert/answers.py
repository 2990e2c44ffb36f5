"""Changing the answers that a model tells apart."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfzoo.core.keras_compat import replace_tracked

__all__ = ["AnswersMixin"]


class AnswersMixin:
    """The last layer of the head of answers, readable and replaceable.

    After a change of size the model has to be compiled anew, and functions that were traced by
    `tf.function` have to be made anew.
    """

    @property
    def num_qa_labels(self) -> int:
        """Number of answers that are told apart."""
        return self.config.num_qa_labels

    def get_qa_logit_layer(self) -> keras.layers.Dense | None:
        """The linear layer that scores the answers, None for a model without one."""
        head = getattr(self, "answer_head", None)
        return None if head is None else head.out

    def set_qa_logit_layer(self, qa_logit_layer: keras.layers.Dense) -> None:
        """Score the answers with another linear layer; `config.num_qa_labels` follows.

        Args:
            qa_logit_layer: From (B, 2 D) to (B, answers), built or not.

        Raises:
            ValueError: The model scores no answers, or the layer does not fit.
        """
        if self.get_qa_logit_layer() is None:
            raise ValueError(f"{type(self).__name__} without task_qa has no head of answers.")
        width = 2 * self.config.hidden_size
        if not isinstance(qa_logit_layer, keras.layers.Dense):
            raise ValueError(f"Expected a Dense layer, got {type(qa_logit_layer).__name__}.")
        if not qa_logit_layer.built:
            qa_logit_layer.build((None, width))
        if qa_logit_layer.kernel.shape[0] != width:
            raise ValueError(
                f"The layer must take (batch, 2 * hidden_size={width}), it takes "
                f"(batch, {qa_logit_layer.kernel.shape[0]})."
            )
        replace_tracked(self.answer_head, "out", qa_logit_layer)
        self.config.num_qa_labels = int(qa_logit_layer.units)
        self._forget_traces()

    def resize_num_qa_labels(self, num_labels: int | None) -> keras.layers.Dense | None:
        """Change the number of answers; those that stay keep their weights.

        New answers start as any fresh weight, with a bias of 0.

        Args:
            num_labels: New number; nothing happens where it is None, or where the model has no
                head of answers.

        Returns:
            The linear layer that scores the answers, or None where nothing happened.

        Raises:
            ValueError: A number below 1.
        """
        layer = self.get_qa_logit_layer()
        if num_labels is None or layer is None:
            return None
        return self._resize_qa_labels(num_labels)

    def _resize_qa_labels(self, num_labels: int) -> keras.layers.Dense:
        """Resize the layer in its place."""
        old = self.get_qa_logit_layer()
        new = self._get_resized_qa_labels(old, num_labels)
        if new is not old:
            self.set_qa_logit_layer(new)
        return new

    def _get_resized_qa_labels(
        self, cur_qa_logit_layer: keras.layers.Dense, num_labels: int | None
    ) -> keras.layers.Dense:
        """A layer of another size with the same weights for the answers that both have."""
        old = cur_qa_logit_layer
        if num_labels is None or num_labels == old.units:
            return old
        if not isinstance(num_labels, int | np.integer) or num_labels < 1:
            raise ValueError(f"num_labels must be a positive integer, got {num_labels!r}.")
        width, kept = int(old.kernel.shape[0]), min(old.units, num_labels)
        spread = self.config.initializer_range
        new = type(old)(
            int(num_labels), use_bias=old.use_bias, dtype=old.dtype_policy, name=old.name
        )
        new.build((None, width))
        fresh = keras.random.normal((width, num_labels - kept), stddev=spread)
        new.kernel.assign(ops.concatenate([old.kernel[:, :kept], fresh], axis=1))
        if old.use_bias:
            new.bias.assign(ops.pad(old.bias[:kept], (0, num_labels - kept)))
        return new

    def _set_qa_logit_layer(self, qa_logit_layer: Any) -> None:
        """`set_qa_logit_layer` under the reference's name."""
        self.set_qa_logit_layer(qa_logit_layer)
