"""From files to rows of results, and rows for the files that failed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, PredictionResult, RunInference
from apache_beam.pvalue import TaggedOutput

from tfzoo.beam.handler import SavedModelHandler, TaskHandler
from tfzoo.beam.reading import KNOTS, Reading, local_file

__all__ = ["FAILED", "AnswerFiles", "PredictFiles"]

FAILED = "failed"  # the side output


class PredictFiles(beam.PTransform):
    """Paths of files -> results and failures.

    Both are dicts with `file`. A result has what the model answered, a failure has a `reason`. Each
    file is read by the worker that needs it, from any file system that Beam knows.

    Args:
        model: Folder of the SavedModel.
        reading: How files become requests.
        batch_size: Greatest number of requests that the model sees at a time.

    Returns:
        A tuple of the results and the failures, both collections.

    Example:
        >>> import tempfile, apache_beam as beam, tfzoo
        >>> checkpoint = tfzoo.default_checkpoint()
        >>> folder = tfzoo.export_serving(
        ...     tfzoo.TFTimesformerForVideoClassification.from_pretrained(checkpoint),
        ...     tfzoo.AutoImageProcessor.from_pretrained(checkpoint),
        ...     tempfile.mkdtemp() + "/camera")
        >>> with beam.Pipeline() as pipeline:
        ...     results, failures = (
        ...         pipeline
        ...         | beam.Create(["clip.mp4", "photo.jpg.txt"])
        ...         | PredictFiles(folder, Reading("classify_frames", num_frames=8)))
        ...     _ = results | "good" >> beam.Map(lambda row: print(row["file"]))
        clip.mp4
    """

    def __init__(self, model: Any, reading: Reading, batch_size: int = 8) -> None:
        super().__init__()
        self._reading = reading
        self._handler = SavedModelHandler(str(model), reading.signature, max_batch_size=batch_size)

    def expand(self, pcoll: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        split = {"main": "done"}
        requests = pcoll | "Read" >> beam.ParDo(_Read(self._reading)).with_outputs(FAILED, **split)
        answers = (
            requests.done
            | "Spread" >> beam.Reshuffle()  # reading and computing need not be on one machine
            | "Infer" >> RunInference(KeyedModelHandler(self._handler))
            | "Sort" >> beam.ParDo(_Sort(self._reading)).with_outputs(FAILED, **split)
        )
        failures = (requests[FAILED], answers[FAILED]) | "Failures" >> beam.Flatten()
        return answers.done, failures


class AnswerFiles(beam.PTransform):
    """Paths of files -> results and failures, by a task of `tfzoo.pipeline`.

    As `PredictFiles`, with a checkpoint in place of a SavedModel; a result has what the task's
    `to_dict` gives.

    Args:
        task: Name of the task; what the checkpoint was made for if None.
        model: The checkpoint, see `tfzoo.pipeline`; the shipped one if None.
        batch_size: Greatest number of files that the model sees at a time.
        **settings: Those of the task.

    Returns:
        A tuple of the results and the failures, both collections.

    Example:
        >>> import apache_beam as beam
        >>> with beam.Pipeline() as pipeline:
        ...     results, failures = (
        ...         pipeline
        ...         | beam.Create(["clip.mp4"])
        ...         | AnswerFiles("video-classification", top_k=1))
        ...     _ = results | "good" >> beam.Map(lambda row: print(row["file"], row["frames"][0]))
        clip.mp4 155
    """

    def __init__(
        self,
        task: str | None = None,
        model: str | None = None,
        batch_size: int = 8,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._handler = TaskHandler(task, model, max_batch_size=batch_size, **settings)

    def expand(self, pcoll: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
        rows = pcoll | "Infer" >> RunInference(self._handler)
        sorted_ = rows | "Sort" >> beam.ParDo(_answer_row).with_outputs(FAILED, main="done")
        return sorted_.done, sorted_[FAILED]


def _answer_row(answer: PredictionResult) -> Iterator[Any]:
    """A prediction of a task -> a result, or a failure."""
    if isinstance(answer.inference, str):
        yield TaggedOutput(FAILED, {"file": answer.example, "reason": answer.inference})
    else:
        yield {"file": answer.example, **answer.inference}


class _Read(beam.DoFn):
    """A path -> requests, each with what it is about as JSON."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading

    def process(self, path: str) -> Iterator[Any]:
        try:
            with local_file(path) as file:
                requests = list(self._reading.requests(file, path))
        except (OSError, ValueError) as error:  # anything else is not the file's fault
            yield TaggedOutput(FAILED, {"file": path, "reason": str(error)})
            return
        for about, request in requests:
            yield json.dumps(about), request


class _Sort(beam.DoFn):
    """A prediction -> a result, or a failure."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading

    def process(self, keyed: tuple[str, PredictionResult]) -> Iterator[Any]:
        about, answer = json.loads(keyed[0]), keyed[1].inference
        if isinstance(answer, str):
            about.pop(KNOTS, None)
            yield TaggedOutput(FAILED, {**about, "reason": answer})
        else:
            yield self._reading.row(about, answer)
