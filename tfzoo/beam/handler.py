"""Model handlers of Apache Beam's `RunInference`: for a SavedModel, and for a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import tensorflow as tf
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from tfzoo.beam.reading import local_file
from tfzoo.tasks import pipeline

__all__ = ["SavedModelHandler", "TaskHandler"]

_REFUSED = (tf.errors.OpError, TypeError, ValueError)


class SavedModelHandler(ModelHandler[Mapping[str, Any], PredictionResult, Any]):
    """Runs a signature of a SavedModel on batches of requests.

    A request is a dict of the signature's inputs without their first axis. If a batch fails, its
    requests are run one by one, so that a bad one does not affect the others.

    Args:
        path: Folder of the SavedModel, local or of any file system that TensorFlow reads.
        signature: Its signature.
        min_batch_size: Least number of requests in a batch.
        max_batch_size: Greatest number of requests in a batch.

    Example:
        >>> import tempfile, apache_beam as beam, tfzoo
        >>> from apache_beam.ml.inference.base import RunInference
        >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained(
        ...     tfzoo.default_checkpoint())
        >>> folder = tempfile.mkdtemp() + "/1"
        >>> model.export(folder, verbose=False)
        >>> request = {"pixel_values": np.zeros((8, 3, 48, 48), "float32")}
        >>> with beam.Pipeline() as pipeline:
        ...     answers = (
        ...         pipeline
        ...         | beam.Create([request])
        ...         | RunInference(SavedModelHandler(folder))
        ...         | beam.Map(lambda result: print(result.inference["logits"].shape))
        ...     )
        (7,)
    """

    def __init__(
        self,
        path: str,
        signature: str = "serving_default",
        *,
        min_batch_size: int = 1,
        max_batch_size: int = 8,
    ) -> None:
        super().__init__()
        self._path, self._signature = str(path), signature
        self._sizes = {"min_batch_size": min_batch_size, "max_batch_size": max_batch_size}

    def load_model(self) -> Any:
        model = tf.saved_model.load(self._path)
        if self._signature not in model.signatures:
            raise ValueError(
                f"{self._path} has no signature {self._signature!r}, only "
                f"{', '.join(sorted(model.signatures))}."
            )
        return model

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return self._sizes

    def run_inference(
        self,
        batch: Sequence[Mapping[str, Any]],
        model: Any,
        inference_args: Mapping[str, Any] | None = None,
    ) -> Iterator[PredictionResult]:
        # An `inference` is a dict of arrays without their first axis, or the reason of a failure.
        function = model.signatures[self._signature]
        try:
            yield from self._answers(batch, function)
        except _REFUSED as error:
            if len(batch) == 1:
                yield PredictionResult(batch[0], _reason(error), self._path)
                return
            for request in batch:
                yield from self.run_inference([request], model)

    def _answers(
        self, batch: Sequence[Mapping[str, Any]], function: Any
    ) -> Iterator[PredictionResult]:
        specs = function.structured_input_signature[1]
        feeds = {
            name: tf.stack([tf.constant(request[name], spec.dtype) for request in batch])
            for name, spec in specs.items()
        }
        outputs = {name: value.numpy() for name, value in function(**feeds).items()}
        for number, request in enumerate(batch):
            row = {name: value[number] for name, value in outputs.items()}
            yield PredictionResult(request, row, self._path)

    def get_metrics_namespace(self) -> str:
        return "BeamML_tfzoo"


class TaskHandler(ModelHandler[str, PredictionResult, Any]):
    """Answers with a task of `tfzoo.pipeline` what is asked about files.

    An example is the path of a file, of any file system that Beam knows, an `inference` the answer
    in JSON's terms, or the reason of a failure. If a batch fails, its files are answered one by
    one, so that a bad one does not affect the others.

    Args:
        task: Name of the task; what the checkpoint was made for if None.
        model: The checkpoint, see `tfzoo.pipeline`; the shipped one if None.
        max_batch_size: Greatest number of files in a batch.
        **settings: Those of the task.

    Example:
        >>> import apache_beam as beam
        >>> from apache_beam.ml.inference.base import RunInference
        >>> with beam.Pipeline() as pipeline:
        ...     answers = (
        ...         pipeline
        ...         | beam.Create(["clip.mp4"])
        ...         | RunInference(TaskHandler("video-classification", top_k=1))
        ...         | beam.Map(lambda one: print(one.inference["predictions"][0]["label"]))
        ...     )
        still
    """

    def __init__(
        self,
        task: str | None = None,
        model: str | None = None,
        *,
        max_batch_size: int = 8,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._task, self._model, self._settings = task, model, settings
        self._size = max_batch_size

    def load_model(self) -> Any:
        return pipeline(self._task, self._model, batch_size=self._size, **self._settings)

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"min_batch_size": 1, "max_batch_size": self._size}

    def run_inference(
        self,
        batch: Sequence[str],
        model: Any,
        inference_args: Mapping[str, Any] | None = None,
    ) -> Iterator[PredictionResult]:
        try:
            with ExitStack() as stack:
                answers = model([stack.enter_context(local_file(path)) for path in batch])
        except (OSError, TypeError, ValueError) as error:
            if len(batch) == 1:
                yield PredictionResult(batch[0], str(error), self._model)
                return
            for path in batch:
                yield from self.run_inference([path], model)
            return
        for path, answer in zip(batch, answers, strict=True):
            yield PredictionResult(path, answer.to_dict(), self._model)

    def get_metrics_namespace(self) -> str:
        return "BeamML_tfzoo"


def _reason(error: Exception) -> str:
    """The message of an error, without the graph's traceback."""
    text = getattr(error, "message", None) or str(error)
    return text.split("\n\t [[")[0].strip() or type(error).__name__
