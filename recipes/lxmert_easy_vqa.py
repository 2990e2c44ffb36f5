"""Trains the small LXMERT that ships with tfzoo: it answers questions about shapes in images.

    python -m recipes.lxmert_easy_vqa --out DIR --seed 0

The questions are those of easy-VQA ("what color is the circle?", "is there not a red shape?"), the
features those of `easy_vqa_regions`. The loss is the model's own.

Test: the set's own test split, 9,673 questions about 1,000 other images. Without the images, the
answer most frequent in training is right for 0.67 of all questions, and for 0.825 of the 7,136 yes
or no questions.

Measured with seed 0: 190,381 parameters, 0.81 MB; 17.7 wall-clock minutes on two shared cores
(15.5 CPU minutes); accuracy 0.9999.

Needs tfzoo with its 'train' extra. DIR gets all files of a checkpoint. The same seed gives the same
files on the same machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from recipes.easy_vqa_regions import (
    FEATURES,
    Questions,
    answers,
    blind_answers,
    questions,
    regions,
)
from recipes.running import arguments, compile_for, fit, report, save, start
from recipes.samples import write_demo, write_photo
from recipes.small_vocabularies import write_word_pieces
from tfzoo import LxmertConfig, LxmertTokenizerFast, TFLxmertForQuestionAnswering
from tfzoo.data.regions import RegionFeatures, write_region_features

__all__ = ["Encoded", "evaluate", "main", "new_model", "new_tokenizer", "train", "write_sample"]

WIDTH, LONGEST = 48, 16
STEPS, BATCH, PEAK_RATE = 15_000, 64, 1e-3


def new_tokenizer(texts: Sequence[str]) -> LxmertTokenizerFast:
    """A tokenizer whose pieces are the words of the questions, and single characters."""
    with tempfile.TemporaryDirectory() as folder:
        write_word_pieces(Path(folder), texts)
        return LxmertTokenizerFast.from_pretrained(folder, model_max_length=LONGEST)


def new_model(vocabulary: int, labels: Sequence[str]) -> TFLxmertForQuestionAnswering:
    """An untrained model."""
    config = LxmertConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        num_attention_heads=4,
        intermediate_size=2 * WIDTH,
        num_qa_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=LONGEST,
        initializer_range=0.1,
        l_layers=2,
        x_layers=2,
        r_layers=1,
        visual_feat_dim=FEATURES,
    )
    return TFLxmertForQuestionAnswering(config)


class Encoded:
    """A split as arrays: the model's inputs, by the index of the question.

    Args:
        split: The questions.
        tokenizer: The tokenizer.
        labels: The answers, in the order of the model's scores.
    """

    def __init__(
        self, split: Questions, tokenizer: LxmertTokenizerFast, labels: Sequence[str]
    ) -> None:
        unique = sorted(set(split.texts))
        tokens = tokenizer(
            unique, padding="max_length", max_length=LONGEST, truncation=False, return_tensors="np"
        )
        rows = [unique.index(text) for text in split.texts]
        self.texts = {name: tokens[name][rows] for name in ("input_ids", "attention_mask")}
        features, boxes = zip(*map(regions, split.paths), strict=True)
        self.features, self.boxes = np.stack(features), np.stack(boxes)
        self.images = split.images
        self.labels = np.array([labels.index(answer) for answer in split.answers], np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The model's inputs for some of the questions."""
        images = self.images[rows]
        return {
            "input_ids": self.texts["input_ids"][rows],
            "visual_feats": self.features[images],
            "visual_pos": self.boxes[images],
            "attention_mask": self.texts["attention_mask"][rows],
        }

    def batches(
        self, seed: int, size: int = BATCH
    ) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """Endless batches; each round has all questions in a new order."""
        rng = np.random.default_rng(seed)
        while True:
            order = rng.permutation(len(self))
            for begin in range(0, len(order) - size + 1, size):
                rows = order[begin : begin + size]
                yield self.inputs(rows), self.labels[rows]


def train(
    model: TFLxmertForQuestionAnswering,
    data: Encoded,
    seed: int,
    steps: int = STEPS,
    size: int = BATCH,
    **options: Any,
) -> keras.callbacks.History:
    """Fits the model with its own loss; `options` are those of `compile`."""
    compile_for(model, steps, PEAK_RATE, metrics=["accuracy"], **options)
    return fit(model, lambda: data.batches(seed, size), steps, epochs=15)


def evaluate(model: TFLxmertForQuestionAnswering, data: Encoded, size: int = 500) -> np.ndarray:
    """Booleans: which of the questions get the right answer."""
    found = [
        keras.ops.convert_to_numpy(
            model(**data.inputs(rows), training=False).question_answering_score
        ).argmax(-1)
        for rows in np.split(np.arange(len(data)), range(size, len(data), size))
    ]
    return np.concatenate(found) == data.labels


def write_sample(folder: Path, split: Questions) -> None:
    """Writes a held-out image, its regions and `demo.json`, for `tfzoo demo`."""
    row = next(i for i, text in enumerate(split.texts) if text.startswith("what color is the"))
    path = split.paths[split.images[row]]
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    write_photo(folder / "sample.png", pixels)
    features, boxes = regions(path)
    height, width = pixels.shape[:2]
    corners = boxes * np.array([width, height, width, height], np.float32)
    record = RegionFeatures("sample", height, width, corners, features)
    write_region_features(folder / "sample.tsv", [record], force=True)
    write_demo(
        folder,
        "answers questions about shapes in pictures (sample.png)",
        split.answers[row],
        ["sample.tsv", "--question", split.texts[row]],
    )


def main() -> None:
    args = arguments(__doc__)
    started, labels = start(args.seed), answers()
    training, test = questions("train"), questions("test")
    tokenizer = new_tokenizer(training.texts)
    model = new_model(len(tokenizer), labels)
    train(model, Encoded(training, tokenizer, labels), args.seed)
    write_sample(args.out, test)
    size = save(args.out, model, tokenizer)
    right = evaluate(model, Encoded(test, tokenizer, labels))
    blind = np.array(blind_answers(training, test.texts)) == np.array(test.answers)
    asked = np.isin(test.answers, ("yes", "no"))
    figures = {
        "accuracy": float(right.mean()),
        "yes or no": float(right[asked].mean()),
        "blind": float(blind.mean()),
        "blind, yes or no": float(blind[asked].mean()),
    }
    report(started, model, size, figures)


if __name__ == "__main__":
    main()
