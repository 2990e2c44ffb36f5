"""How models train under `compile` / `fit`: Keras's documented hooks, overridden once for all.

With `compile(optimizer)` alone a model uses its own loss; labels come as `y` or inside the inputs.
With `compile(optimizer, loss, metrics)` `y` is matched against the head's main output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from tfzoo.core.keras_compat import (
    ModelRepairs,
    gathered,
    has_compiled_loss,
    has_compiled_metrics,
    scalar_loss,
    unscaled,
)
from tfzoo.core.outputs import ModelOutput
from tfzoo.core.types import ModelMixin, Tensor
from tfzoo.losses.contrastive import contrastive_loss
from tfzoo.modeling.batching import BatchingMixin

__all__ = ["ContrastiveMixin", "TrainingMixin", "UnusedWeightsMixin"]


class UnusedWeightsMixin(ModelMixin):
    """Leaves weights out of training that no loss depends on: Keras warns of them in each `fit`."""

    def unused_weights(self) -> Iterable[Any]:
        """The weights that take no part in training; a head that has such overrides this."""
        return ()

    @property
    def trainable_weights(self) -> list[Any]:
        """The weights that training changes."""
        unused = {id(weight) for weight in self.unused_weights()}
        return [weight for weight in super().trainable_weights if id(weight) not in unused]

    @property
    def trainable_variables(self) -> list[Any]:
        """The same as `trainable_weights`; Keras asks for either."""
        return self.trainable_weights


class TrainingMixin(BatchingMixin, UnusedWeightsMixin, ModelRepairs):
    """Loss, metrics and steps of every model.

    Attributes:
        main_output: The field that `y` is matched against when a loss is compiled.
        labels_input: The input that holds the labels when they are not passed as `y`; None for a
            head whose loss needs none.
        component_losses: Names of the parts of the head's own loss, each logged by `fit`.
    """

    main_output: str = "logits"
    labels_input: str | None = "labels"
    component_losses: tuple[str, ...] = ()
    # State of the step that Keras runs. It lies in the model because Keras calls the model,
    # `compute_loss` and `compute_metrics` in turn and passes nothing of ours from one to the next;
    # each step sets it and takes it away again.
    _in_step: bool = False  # whether a step of Keras's is running
    _shares_texts: bool = False  # whether its batch holds the texts of all, see `ClipModel`
    _parts: Mapping[str, Any] = MappingProxyType({})  # the parts of the loss just computed
    _components: Sequence[keras.metrics.Metric] = ()  # averages of the parts, until `compile`

    def compute_output_loss(
        self, labels: Tensor, outputs: ModelOutput, sample_weight: Tensor | None
    ) -> Tensor | dict[str, Tensor]:
        """The model's own loss, used when none was compiled; heads that have one override it.

        Returns:
            A scalar, or a dict of `loss` and its parts by name.

        Raises:
            ValueError: This head has no loss of its own.
        """
        raise ValueError(
            f"{type(self).__name__} has no loss of its own: use compile(optimizer, loss=...)."
        )

    def implied_labels(self, outputs: ModelOutput) -> Tensor | None:
        """`y` where none was given: None, unless the outputs themselves imply it."""
        return None

    # ---- what Keras calls
    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Configure training, see `keras.Model.compile`. `loss` may be left out."""
        loss = kwargs.get("loss", args[1] if len(args) > 1 else None)
        self._loss_names = tuple(loss) if isinstance(loss, Mapping) else ()
        # Past Keras's tracking, which is closed once a model is built; `metrics` adds them.
        names = self.component_losses if loss is None else ()
        self.__dict__["_components"] = [keras.metrics.Mean(name=n) for n in names]
        super().compile(*args, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss where there is one, else the model's own, plus layers' losses.

        Raises:
            ValueError: No loss was compiled and no labels were given, or some without a use.
        """
        labels, prediction = self._pair(x, y, y_pred)
        if has_compiled_loss(self):
            return super().compute_loss(
                x=x, y=labels, y_pred=prediction, sample_weight=sample_weight, training=training
            )
        if y is not None and self.labels_input is None:
            raise ValueError(
                f"{type(self).__name__} trains on pairs of its inputs and takes no y: leave y out, "
                "or use compile(loss=...)."
            )
        loss = y_pred.get("loss")
        # A loss of each sample, as TVP's output holds, is averaged below.
        if loss is not None and len(loss.shape) == 0 and sample_weight is None:
            loss = {**(y_pred.get("loss_dict") or {}), "loss": loss}
        elif labels is None:
            raise ValueError(
                f"{type(self).__name__}: no labels. Pass y, put {self.labels_input!r} into the "
                "inputs, or use compile(loss=...)."
            )
        else:
            loss = self.compute_output_loss(labels, y_pred, sample_weight)
        if isinstance(loss, Mapping):
            self.__dict__["_parts"], loss = loss, loss["loss"]
        return sum((scalar_loss(self, extra) for extra in self.losses), start=loss)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Metrics of `y` (or of the labels inside the inputs) against the main output."""
        for tracker in self._components:  # values inside JAX's gradient cannot leave it
            if tracker.name in self._parts and keras.backend.backend() != "jax":
                tracker.update_state(unscaled(self._parts[tracker.name]))
        self.__dict__["_parts"] = {}
        labels, prediction = self._pair(x, y, y_pred)
        if labels is None or not has_compiled_metrics(self):
            return self.get_metrics_result()
        return super().compute_metrics(x, labels, prediction, sample_weight)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """All metrics, those of the loss's parts included."""
        return [*super().metrics, *self._components]

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        with self._step():
            return super().train_step(*args, **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        with self._step():
            return super().test_step(*args, **kwargs)

    def predict_step(self, *args: Any) -> Any:
        """One prediction step; a scalar loss is dropped, since it cannot be concatenated."""
        with self._step():
            result = super().predict_step(*args)
        x, *_ = keras.utils.unpack_x_y_sample_weight(args[-1])
        if type(result) is tuple:  # JAX returns its state beside the outputs
            return (self._prediction(result[0], x), *result[1:])
        return self._prediction(result, x)

    # ---- helpers
    @contextmanager
    def _step(self) -> Iterator[None]:
        """Steps need named outputs, whatever `return_dict` says."""
        self._in_step, self._shares_texts = True, False
        try:
            yield
        finally:
            self._in_step = False

    def _prediction(self, outputs: Any, x: Any) -> Any:
        if not isinstance(outputs, ModelOutput):
            return outputs
        kept = ((k, v) for k, v in outputs.items() if k not in ("loss", "loss_dict"))
        return self.divided_outputs(type(outputs)(kept), x)

    def _pair(self, x: Any, y: Any, outputs: ModelOutput) -> tuple[Any, Any]:
        """Labels and predictions in plain structures of the same form, as Keras needs them."""
        if y is None and self.labels_input and isinstance(x, Mapping):
            y = self._table.renamed(x).get(self.labels_input)
        if y is None:
            y = self.implied_labels(outputs)
        if len(self._loss_names) == 1 and y is not None and not isinstance(y, Mapping):
            y = {self._loss_names[0]: y}
        if isinstance(y, Mapping) and all(name in outputs for name in y):
            return dict(y), {name: outputs[name] for name in y}
        return y, outputs[self.main_output]


class ContrastiveMixin(ModelMixin):
    """Training on pairs, as CLIP does: the i-th text belongs to the i-th video or image.

    No labels are needed. Compiled metrics and losses see the indices 0, 1, 2, ... as `y`, so that
    `SparseCategoricalAccuracy` is the accuracy of finding the text of each video within a batch.

    Under `tf.distribute` the batch is that of all replicas: in the steps of `fit`, `evaluate` and
    `predict` each replica compares its texts with all videos or images, and its videos or images
    with all texts, so that losses and outputs are those of one device.
    """

    labels_input: str | None = None

    def implied_labels(self, outputs: ModelOutput) -> Tensor:
        """The index of each pair."""
        rows = ops.arange(ops.shape(outputs[self.main_output])[0])
        return rows + self.of_all_replicas(rows)[1]

    def of_all_replicas(self, x: Tensor) -> tuple[Tensor, Tensor | int]:
        """In a step on pairs, `x` of all replicas, and where its own rows begin; else `x`, 0."""
        return gathered(x) if self._in_step and not self._shares_texts else (x, 0)

    def compute_output_loss(
        self, labels: Tensor, outputs: ModelOutput, sample_weight: Tensor | None
    ) -> Tensor:
        """The contrastive loss of the batch, see `contrastive_loss`."""
        pairs = self.implied_labels(outputs)
        per_text, per_image = outputs["logits_per_text"], outputs[self.main_output]
        return contrastive_loss(per_text, per_image, pairs, sample_weight)
