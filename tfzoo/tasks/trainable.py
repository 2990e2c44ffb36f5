"""What tasks that are learnt from files need beside a model: examples, labels, loss, metrics."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from tfzoo.core.config import ConfigError, PretrainedConfig
from tfzoo.data import (
    DataError,
    detection_dataset_from_coco,
    grounding_dataset_from_charades,
    question_dataset_from_tsv,
    video_dataset_from_directory,
)
from tfzoo.data.annotations import is_number, read_annotations
from tfzoo.hub import HubOptions
from tfzoo.metrics import average_precision, grounding_metrics
from tfzoo.tasks import task_class, task_for
from tfzoo.tasks.inputs import choice_of

__all__ = ["Trainable", "trainable_for"]

_MOST_BOXES = 100  # of an image, as in COCO's own evaluation


class Trainable(abc.ABC):
    """A checkpoint whose task is learnt from files.

    Args:
        name: Folder of the checkpoint, or repository name.
        config: Its configuration; `choose_labels` changes the labels.
        options: Where to look.
        template: Sentence around each label, with `{}` in its place, for texts.
        **reading: Keywords that all functions of `tfzoo.data` take, such as `batch_size`.

    Class attributes:
        task: Its name.
        data: The paths that a set is made of, in words.
        head: Pattern of the layers that train as a whole beside adapters.
    """

    task: ClassVar[str]
    data: ClassVar[tuple[str, ...]]
    head: ClassVar[str | None] = None
    names: Sequence[str] | None = None  # of the labels that were taken from a set

    def __init__(
        self,
        name: str | Path,
        config: PretrainedConfig,
        options: HubOptions,
        template: str = "{}",
        **reading: Any,
    ) -> None:
        self.name, self.config, self.where = name, config, options.keywords()
        self.template, self.reading = template, reading
        self.processor = task_class(self.task).processor_auto.from_pretrained(name, **self.where)

    def choose_labels(self, paths: Sequence[Path]) -> bool:
        """Take the labels from a training set where the checkpoint's are others.

        Returns:
            Whether the checkpoint's head is of no use for them.
        """
        return False

    @abc.abstractmethod
    def read(self, paths: Sequence[Path], training: bool) -> Any:
        """The set, shuffled for training.

        Raises:
            DataError: The files hold something else, or labels that the model does not know.
        """

    def load(self, has_new_labels: bool = False) -> Any:
        """Load the model; a head for other labels is left fresh."""
        wanted: Any = task_class(self.task).model_class(self.config)
        how = {"config": self.config, "ignore_mismatched_sizes": has_new_labels, **self.where}
        return wanted.from_pretrained(self.name, **how)

    def compile(self, model: Any, optimizer: Any = "sgd") -> None:
        """Set the model's loss, metrics and optimizer."""
        model.compile(optimizer, metrics=self.metrics())

    def metrics(self) -> list[Any]:
        """Metrics of Keras."""
        return []

    def measure(self, model: Any, dataset: Any) -> dict[str, float]:
        """Figures that Keras's metrics cannot give."""
        return {}

    def evaluate(self, model: Any, dataset: Any) -> dict[str, float]:
        """All figures of a compiled model on a set."""
        figures = model.evaluate(dataset, return_dict=True, verbose=0)
        return {**{k: float(v) for k, v in figures.items()}, **self.measure(model, dataset)}

    def _set_labels(self, names: Sequence[str]) -> None:
        self.names = names
        self.config.id2label = dict(enumerate(names))
        self.config.label2id = {name: index for index, name in enumerate(names)}


def _accuracies(labels: int) -> list[Any]:
    top = keras.metrics.SparseTopKCategoricalAccuracy(5, name="top_5_accuracy")
    return ["accuracy", *([top] if labels > 5 else [])]


# ---- videos
class VideoClassification(Trainable):
    """Classifies videos by the names of the folders that they are in."""

    task = "video-classification"
    data = ("a folder with a folder of videos for each label",)
    head = r"^classifier$"

    def choose_labels(self, paths: Sequence[Path]) -> bool:
        names = self._inferred(paths[0]).class_names
        if not {_words(name) for name in names} - {*self._labels()}:
            return False
        self._set_classes(paths[0], names)
        return True

    def read(self, paths: Sequence[Path], training: bool) -> Any:
        return self._dataset(paths[0], training, shuffle=training)

    def split(self, paths: Sequence[Path], share: float) -> tuple[Any, Any]:
        """A set to train on, and a share of the videos to validate with."""
        return self._dataset(paths[0], True, validation_split=share, subset="both")

    def metrics(self) -> list[Any]:
        return _accuracies(self.config.num_labels)

    def _set_classes(self, folder: Path, names: Sequence[str]) -> None:
        if len({_words(name) for name in names}) < max(2, len(names)):
            raise DataError(
                f"{folder}: expected a folder of videos for each of two or more labels, which "
                f"differ by more than underscores, got {', '.join(names[:5])}."
            )
        self._set_labels(names)

    def _labels(self) -> dict[str, int]:
        """The index of each label."""
        return {_words(label): index for index, label in self.config.id2label.items()}

    def _inferred(self, folder: Path) -> Any:
        count = choice_of(self.processor, self.config).num_frames
        return video_dataset_from_directory(folder, self.processor, count, **self.reading)

    def _dataset(self, folder: Path, training: bool, **how: Any) -> Any:
        """The videos with the model's own labels, however many of them have a folder."""
        found, known = self._inferred(folder), self._labels()
        if unknown := [name for name in found.class_names if _words(name) not in known]:
            raise DataError(
                f"{folder}: the model has no label for {', '.join(unknown[:5])}; it has "
                f"{', '.join([*known][:5])}, {len(known)} in all."
            )
        names = [Path(path).relative_to(folder).parts[0] for path in found.file_paths]
        choice = choice_of(self.processor, self.config)
        if training and choice.sampling == "centre":
            choice = choice.with_given(sampling="random_clip")
        return video_dataset_from_directory(
            folder,
            self.processor,
            labels=[known[_words(name)] for name in names],
            **vars(choice),
            **self.reading,
            **how,
        )


class ZeroShotVideo(VideoClassification):
    """Finds the text of a video's folder among the texts of all of them."""

    task = "zero-shot-video-classification"
    head = None

    def choose_labels(self, paths: Sequence[Path]) -> bool:
        names = self._inferred(paths[0]).class_names
        self._set_classes(paths[0], [_words(name) for name in names])
        return False

    def compile(self, model: Any, optimizer: Any = "sgd") -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=self.metrics())

    def _dataset(self, folder: Path, training: bool, **how: Any) -> Any:
        if self.names is None:
            self.choose_labels([folder])
        texts = [self.template.replace("{}", name) for name in self.names or ()]
        encoded = dict(self.processor(text=texts, padding=True, return_tensors="np"))

        def with_texts(inputs: dict[str, Any], labels: Any) -> tuple[dict[str, Any], Any]:
            return {**inputs, **encoded}, labels

        found = super()._dataset(folder, training, **how)
        if isinstance(found, tuple):
            return tuple(part.map(with_texts) for part in found)
        return found.map(with_texts)


def _words(name: str) -> str:
    """A folder's name as a label: with spaces for underscores."""
    return " ".join(name.replace("_", " ").split())


# ---- images, moments, questions
class Detection(Trainable):
    """Finds the objects in images that the names of their boxes describe."""

    task = "zero-shot-object-detection"
    data = ("COCO's JSON", "the folder of its images")
    head = r"^((class|box|objectness)_head|layer_norm)$"

    def choose_labels(self, paths: Sequence[Path]) -> bool:
        self._set_labels(self.read(paths, False).class_names)
        return False

    def read(self, paths: Sequence[Path], training: bool) -> Any:
        return detection_dataset_from_coco(
            *paths,
            self.processor,
            class_names=self.names,
            template=self.template,
            shuffle=training,
            **self.reading,
        )

    def measure(self, model: Any, dataset: Any) -> dict[str, float]:
        """Average precision at an IoU of 0.5, and the mean of those from 0.5 to 0.95."""
        results, targets = [], []
        for inputs, labels in dataset:
            outputs = model.predict_on_batch(inputs)
            found = self.processor.post_process_object_detection(outputs, threshold=0.0)
            results += [_best(one) for one in found]
            rows = zip(*(np.asarray(labels[n]) for n in ("boxes", "class_labels")), strict=True)
            targets += [_targets(boxes, classes) for boxes, classes in rows]
        steps = np.linspace(0.5, 0.95, 10)
        found_at = [average_precision(results, targets, float(step)) for step in steps]
        return {"ap50": found_at[0], "ap": float(np.mean(found_at))}


def _best(found: Mapping[str, Any]) -> dict[str, Any]:
    order = np.argsort(-found["scores"], kind="stable")[:_MOST_BOXES]
    return {name: values[order] for name, values in found.items()}


def _targets(boxes: np.ndarray, classes: np.ndarray) -> dict[str, Any]:
    """The targets of an image, without padding; from centre and size to corners."""
    centre, half = boxes[classes >= 0, :2], boxes[classes >= 0, 2:] / 2
    corners = np.concatenate([centre - half, centre + half], axis=1)
    return {"boxes": corners, "labels": classes[classes >= 0]}


class Grounding(Trainable):
    """Finds the moments of videos that sentences describe."""

    task = "video-grounding"
    data = ("Charades-STA's lines", "the folder of the videos")
    head = r"^video_grounding_head$"

    def read(self, paths: Sequence[Path], training: bool) -> Any:
        return grounding_dataset_from_charades(
            *paths, self.processor, self.config.num_frames, shuffle=training, **self.reading
        )

    def metrics(self) -> list[Any]:
        return grounding_metrics()


class QuestionAnswering(Trainable):
    """Answers questions about the regions of images."""

    task = "visual-question-answering"
    data = ("LXMERT's JSON of questions", "the TSV file of region features")
    head = r"^answer_head$"

    def choose_labels(self, paths: Sequence[Path]) -> bool:
        asked = [*map(_right_answers, read_annotations(paths[0]))]
        known = {*self._known()}
        if self.reading.get("on_error") == "skip" or all(answers & known for answers in asked):
            return False
        names = sorted(set().union(*asked))
        self._set_labels(names)
        self.config.num_qa_labels = len(names)
        return True

    def read(self, paths: Sequence[Path], training: bool) -> Any:
        questions, features = paths
        return question_dataset_from_tsv(
            features,
            questions,
            self.processor,
            answers=self._known(),
            shuffle=training,
            **self.reading,
        )

    def metrics(self) -> list[Any]:
        return _accuracies(self.config.num_qa_labels)

    def _known(self) -> dict[str, int]:
        """The index of each answer; of the default ones there are too few."""
        return {
            name: i for name, i in self.config.label2id.items() if i < self.config.num_qa_labels
        }


def _right_answers(question: Any) -> set[str]:
    """The answers of a score above 0; the reader refuses what is not a question."""
    label = question.get("label", {}) if isinstance(question, Mapping) else {}
    if isinstance(label, str):
        return {label}
    scores = label if isinstance(label, Mapping) else {}
    return {answer for answer, score in scores.items() if is_number(score) and score > 0}


_TRAINABLE: dict[str, type[Trainable]] = {
    kind.task: kind
    for kind in (VideoClassification, ZeroShotVideo, Detection, Grounding, QuestionAnswering)
}


def trainable_for(config: PretrainedConfig) -> type[Trainable]:
    """The task that a checkpoint of this configuration is trained for.

    Raises:
        ConfigError: There is no reader of files for it.
    """
    found = _TRAINABLE.get(task_for(config).name)
    if found is None:
        raise ConfigError(
            f"There is no reader of training files for a {config.model_type}, see docs/data.md: "
            "train it with fit, as the notebook fine_tune does."
        )
    return found
