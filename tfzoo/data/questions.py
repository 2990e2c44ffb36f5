"""Questions about images, given as region features, for LXMERT.

Letters: B batch, N tokens, R regions, F width of a feature.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tensorflow as tf

from tfzoo.core.untrusted import refuse_lfs_pointer
from tfzoo.core.warn import warn
from tfzoo.data.annotations import identifier, is_number, read_annotations
from tfzoo.data.errors import BrokenFileWarning, DataError, shown
from tfzoo.data.pipeline import Progress, Reading, reporter, stream
from tfzoo.data.regions import (
    RegionFeatureError,
    RegionFeatureFile,
    check_region_features,
    open_region_features,
    region_batch,
)
from tfzoo.data.regions.files import TsvFile
from tfzoo.text.lengths import NO_LIMIT

__all__ = ["question_dataset_from_tsv"]

_AT_ONCE = 10_000  # questions, whose ids are measured and dropped


def question_dataset_from_tsv(
    features: str | os.PathLike[str],
    questions: str | os.PathLike[str] | Sequence[Mapping[str, Any]],
    tokenizer: Any,
    *,
    answers: Mapping[str, int] | Sequence[str] | None = None,
    num_regions: int | None = None,
    max_text_length: int | None = None,
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int | None = None,
    on_error: str = "raise",
    workers: int | None = None,
    index: str | os.PathLike[str] | None = None,
    progress: Progress = True,
) -> Any:
    """Stream questions with their images' region features into LXMERT's `fit`.

    A TSV file of 40 GB is read through once to find where its images are, and their places are kept
    beside it; then only the lines of a batch are read, in whatever order the batches come.

    Args:
        features: The TSV file of bottom-up attention; or another that `open_region_features` knows.
        questions: A list of `{"img_id": ..., "sent": ..., "label": {answer: score}}`, as LXMERT's
            authors publish VQA, or the json file of one; `label` may also be the answer alone.
        tokenizer: The checkpoint's `LxmertTokenizerFast`.
        answers: The index of each answer, `config.label2id`; or all answers in their order; None
            for no labels.
        num_regions: R; images of fewer regions are padded and masked, of more refused. Default: as
            many as the first question's image has.
        max_text_length: N; longer questions are cut, LXMERT's authors do so at 20. Default: that of
            the longest one, and at most what the tokenizer says that the model takes.
        batch_size: B; the last batch may be smaller.
        shuffle: Whether each epoch has an order of its own.
        seed: Of the order.
        on_error: "raise" refuses a question without an image or a known answer, and ends the
            reading at a damaged line; "skip" leaves it out with a `BrokenFileWarning`.
        workers: How many lines are read at once; None leaves it to `tf.data`.
        index: Where the places of the TSV's lines are kept. Default: beside it, with
            `.index.json` after its name, if its folder can be written.
        progress: True shows a bar on a terminal while the TSV is read through for the first time; a
            function is called with (done, total) bytes.

    Returns:
        A `tf.data.Dataset` of `({"input_ids", "attention_mask", "token_type_ids": (B, N),
        "visual_feats": (B, R, F), "visual_pos": (B, R, 4), "visual_attention_mask": (B, R)},
        labels)` with labels (B,), the index of the answer of the highest score above 0; or of the
        first alone. Attributes: `class_names`, the answers in the order of their indices (None
        without any), and `skipped`, what was left out so far.

    Raises:
        DataError: Questions of another form, without their images, or without known answers. While
            it is read, the dataset raises `tf.errors.InvalidArgumentError` with such messages.
        RegionFeatureError: `features` is missing, or its first record is unfit for a model.
        TypeError: `tokenizer` is not a tokenizer.
        ValueError: An invalid argument.

    Example:
        >>> import tfzoo
        >>> from tfzoo.data import question_dataset_from_tsv
        >>> from tfzoo.data.regions import RegionFeatures, write_region_features
        >>> boxes = np.array([[0, 0, 320, 240], [100, 50, 200, 150]], "float32")
        >>> regions = RegionFeatures("kitchen", 240, 320, boxes, np.full((2, 2048), 0.5, "float32"))
        >>> _ = write_region_features("kitchen.tsv", [regions], force=True)
        >>> asked = [{"img_id": "kitchen", "sent": "Is it lunch time?", "label": {"yes": 1.0}}]
        >>> tokenizer = tfzoo.LxmertTokenizerFast.from_pretrained("lxmert")
        >>> dataset = question_dataset_from_tsv(
        ...     "kitchen.tsv", asked, tokenizer, answers=["yes", "no"])
        >>> inputs, labels = next(iter(dataset))
        >>> inputs["input_ids"].shape, inputs["visual_feats"].shape, labels.numpy()
        (TensorShape([1, 7]), TensorShape([1, 2, 2048]), array([0], dtype=int32))
    """
    reading = Reading(batch_size, shuffle, seed, on_error, workers)
    if not callable(tokenizer) or not hasattr(tokenizer, "pad_token_id"):
        raise TypeError(f"tokenizer: expected LxmertTokenizerFast, got {tokenizer!r}.")
    for name, value in (("num_regions", num_regions), ("max_text_length", max_text_length)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name} must be a whole number above 0, got {value!r}.")
    asked = _with_answers(_read_questions(questions), answers, on_error)
    length = max_text_length or _longest(tokenizer, [question.text for question in asked])
    images = _open(Path(features).expanduser(), index, progress)
    asker = _Asker(asked, images, tokenizer, length, answers is not None)
    weakref.finalize(asker, images.close)
    asker.check_images(on_error)
    signature = asker.signature(num_regions)

    def finish(values: dict[str, Any]) -> Any:
        inputs = {name: value for name, value in values.items() if name != "labels"}
        return (inputs, values["labels"]) if "labels" in values else inputs

    names = [f"question {q.number}, {q.text!r}, on image {q.image_id!r}" for q in asked]
    dataset = stream(names, asker.load, signature, reading, finish)
    places = _places(answers)
    dataset.class_names = sorted(places, key=places.get) if places else None
    return dataset


def _longest(tokenizer: Any, texts: list[str]) -> int:
    """Tokens of the longest text, and at most as many as the tokenizer's model takes."""
    cut = tokenizer.model_max_length < NO_LIMIT
    parts = (texts[start : start + _AT_ONCE] for start in range(0, len(texts), _AT_ONCE))
    return max(len(ids) for part in parts for ids in tokenizer(part, truncation=cut)["input_ids"])


def _places(answers: Mapping[str, int] | Sequence[str] | None) -> dict[str, int]:
    """The index of each answer."""
    if isinstance(answers, Mapping):
        return dict(answers)
    return {answer: place for place, answer in enumerate(answers or ())}


class _Question(NamedTuple):
    """One question; `answers` has the score of each."""

    number: int  # in the file
    image_id: str
    text: str
    answers: Mapping[str, float]
    label: int = -1


class _Asker:
    """Questions with their images. `weakref.finalize` closes these."""

    def __init__(
        self,
        questions: list[_Question],
        images: RegionFeatureFile,
        tokenizer: Any,
        length: int,
        has_labels: bool,
    ) -> None:
        self.questions, self.images, self.tokenizer = questions, images, tokenizer
        self.length, self.has_labels = length, has_labels
        self.regions = self.width = 0  # of all images: `signature` finds them
        self.known: frozenset[str] = frozenset()

    def check_images(self, on_error: str) -> None:
        """Refuse questions without their images; where these are skipped, only if all are."""
        self.known = frozenset(self.images)  # "in" a mapping would read each image
        needed = dict.fromkeys(question.image_id for question in self.questions)
        missing = [name for name in needed if name not in self.known]
        if len(missing) == len(needed) or (missing and on_error == "raise"):
            raise DataError(
                f"{self.images.path} lacks {len(missing)} of {len(needed)} images: "
                f"{shown(missing)}. Are they of another split?"
            )

    def signature(self, num_regions: int | None) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes, from the first image that is there, which is checked as well."""
        first = next(q for q in self.questions if q.image_id in self.known)
        record = self.images[first.image_id]
        count, width = record.features.shape
        check_region_features(record.features, record.normalized_boxes(), feature_width=width)
        self.regions, self.width = num_regions or count, width
        visual = {
            "visual_feats": tf.TensorSpec((self.regions, width), tf.float32),
            "visual_pos": tf.TensorSpec((self.regions, 4), tf.float32),
            "visual_attention_mask": tf.TensorSpec((self.regions,), tf.int64),
        }
        texts = {name: tf.TensorSpec((self.length,), tf.int64) for name in self._text("a")}
        labels = {"labels": tf.TensorSpec((), tf.int32)} if self.has_labels else {}
        return {**texts, **visual, **labels}

    def load(self, place: int, rng: np.random.Generator) -> dict[str, Any]:
        """Read one question's image; nothing is drawn."""
        question = self.questions[place]
        try:
            visual = self._regions(question.image_id)
        except KeyError as error:  # one of a folder may also have been removed meanwhile
            message = f"{self.images.path} lacks the image {question.image_id!r:.100}."
            raise DataError(message) from error
        values = {**self._text(question.text), **visual}
        return {**values, "labels": question.label} if self.has_labels else values

    def _regions(self, image_id: str) -> dict[str, np.ndarray]:
        """The visual inputs, padded to the number of regions."""
        found = {name: rows[0] for name, rows in region_batch([self.images[image_id]]).items()}
        count = len(found["visual_feats"])
        if count > self.regions:
            raise RegionFeatureError(
                f"image {image_id!r:.200} has {count} regions, more than num_regions={self.regions}"
            )
        width = found["visual_feats"].shape[1]
        if width != self.width:
            raise RegionFeatureError(
                f"image {image_id!r:.200} has features of width {width}, others of {self.width}"
            )
        if not np.isfinite(found["visual_feats"]).all():
            raise RegionFeatureError(f"image {image_id!r:.200} has features of NaN or infinity")
        rest = self.regions - count
        return {
            name: np.pad(rows, [(0, rest), *[(0, 0)] * (rows.ndim - 1)])
            for name, rows in found.items()
        }

    def _text(self, text: str) -> dict[str, np.ndarray]:
        encoded = self.tokenizer(
            text, padding="max_length", truncation=True, max_length=self.length
        )
        names = ("input_ids", "attention_mask", "token_type_ids")
        return {name: np.array(encoded[name], np.int64) for name in names}


class _WatchedTsv(TsvFile):
    """Reports how far it has been searched, while it is."""

    def __init__(self, path: Path, index: Path | None, progress: Progress) -> None:
        super().__init__(path, index)
        self._progress, self._report = progress, lambda done: None

    def _build_index(self) -> dict[str, int]:
        with reporter(self._progress, "B", self.path.stat().st_size) as self._report:
            return super()._build_index()

    def _lines(self, file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
        for number, offset, line in super()._lines(file):
            self._report(offset + len(line))
            yield number, offset, line


def _open(
    path: Path, index: str | os.PathLike[str] | None, progress: Progress
) -> RegionFeatureFile:
    """The features; of a TSV file with its index."""
    if path.suffix != ".tsv" or not path.is_file():
        return open_region_features(path)
    refuse_lfs_pointer(path, RegionFeatureError)
    if index is None and os.access(path.parent, os.W_OK):
        index = path.with_name(path.name + ".index.json")
    return _WatchedTsv(path, None if index is None else Path(index).expanduser(), progress)


def _read_questions(
    questions: str | os.PathLike[str] | Sequence[Mapping[str, Any]],
) -> list[_Question]:
    """The questions, from a file or a list."""
    where = "questions"
    if isinstance(questions, (str, os.PathLike)):
        where = str(questions)
        questions = read_annotations(Path(questions).expanduser())
    if not isinstance(questions, (list, tuple)) or not questions:
        raise DataError(
            f'{where}: expected a list of {{"img_id", "sent", "label"}}, got '
            f"{'an empty one' if questions == [] else type(questions).__name__}."
        )
    return [_question(entry, n, f"{where}[{n}]") for n, entry in enumerate(questions)]


def _question(entry: Any, number: int, where: str) -> _Question:
    if not isinstance(entry, Mapping) or "img_id" not in entry or "sent" not in entry:
        raise DataError(
            f'{where}: expected an object with "img_id" and "sent", got {entry!r:.200}.'
        )
    text, label = entry["sent"], entry.get("label", {})
    if not _is_text(text):
        raise DataError(f'{where}: expected "sent" to be a question, got {text!r:.200}.')
    answers = {label: 1.0} if isinstance(label, str) else label
    if not isinstance(answers, Mapping) or not all(map(is_number, answers.values())):
        raise DataError(
            f'{where}: expected "label" to be {{answer: score}} or an answer, got {label!r:.200}.'
        )
    image_id = str(identifier(entry["img_id"], f"{where}, img_id"))
    return _Question(number, image_id, text, answers)


def _is_text(value: Any) -> bool:
    """Whether something is text to read; half of a character cannot be encoded."""
    try:
        return isinstance(value, str) and value.strip() != "" and value.encode() != b""
    except UnicodeEncodeError:
        return False


def _with_answers(
    questions: list[_Question], answers: Mapping[str, int] | Sequence[str] | None, on_error: str
) -> list[_Question]:
    """The questions with their labels, without those that have no known answer."""
    if answers is None:
        return questions
    if isinstance(answers, str) or not answers:
        raise ValueError(f"answers: expected config.label2id or a list, got {answers!r}.")
    places = _places(answers)
    if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in places.values()):
        raise ValueError("answers: expected an index for each answer, as config.label2id has them.")
    labelled, lost = [], []
    for question in questions:
        known = {a: score for a, score in question.answers.items() if a in places and score > 0}
        if known:
            label = int(places[max(known, key=known.get)])
            labelled.append(question._replace(label=label))
        else:
            lost.append(f"{question.number} {question.text!r} {sorted(question.answers)}")
    if lost and (on_error == "raise" or not labelled):
        raise DataError(
            f"{len(lost)} of {len(questions)} questions have no answer among the {len(places)} "
            f"known ones, or none of a score above 0: {shown(lost)}. on_error='skip' leaves them "
            "out."
        )
    if lost:
        text = f"left out, without a known answer: {len(lost)} questions: {shown(lost)}"
        warn(text, BrokenFileWarning)
    return labelled
