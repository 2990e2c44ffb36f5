"""Trains the small TVP that ships with tfzoo: when does the camera pan left, when right?

    python -m recipes.tvp_pans --out DIR --seed 0

The clips are those of `compass`: in each the camera pans once to either side, and colours tell
where it looks. TVP averages over the frames before the transformer, so that only the visual prompts
can tell the frames apart. Here they start as a shutter: each of 12 frames shows one of the 12
blocks around its middle, and covers the others, so that the mean over the frames is a contact
sheet. They train like all other weights.

The loss is that of the boundaries and of the overlap, which has a gradient everywhere; the paper's
own stops learning where the middles are closer than a fifth.

Test: 600 clips from four photos that it never saw, with wordings that it never read.

Measured with seed 0: 199,047 parameters, 0.96 MB; 18.1 CPU minutes; mean IoU 0.834, that of the
best constant answer 0.341.

Needs tfzoo with its 'train' extra. DIR gets all files of a checkpoint. The same seed gives the same
files on the same machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from recipes.camera_motion import photos
from recipes.compass import DIRECTIONS, QUERIES, best_constant, make_clip, mean_iou
from recipes.running import arguments, compile_for, fit, report, save, start
from recipes.samples import write_demo, write_film
from recipes.small_vocabularies import write_word_pieces
from tfzoo import (
    BertTokenizerFast,
    TFTvpForVideoGrounding,
    TvpConfig,
    TvpImageProcessor,
    TvpProcessor,
)

__all__ = [
    "SpanLoss",
    "batches",
    "evaluate",
    "main",
    "new_model",
    "new_processor",
    "train",
    "write_sample",
]

SIZE, FRAMES, BLOCK = 64, 12, 16
STEM, CHANNELS, WIDTH = 12, 24, 56
COVER = -4.0  # added to pixels of -1..1 where a frame is covered
STEPS, BATCH, PEAK_RATE = 4500, 16, 1e-3
LONGEST = 16
TEST_CLIPS, TEST_SEED = 600, 1_000_003


class SpanLoss(keras.losses.Loss):
    """Distances of starts and ends, and half of 1 - IoU; (B, 2) twice -> (B,)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        distance = ops.sum(ops.abs(y_true - y_pred), axis=-1)
        low, high = ops.minimum(y_true, y_pred), ops.maximum(y_true, y_pred)
        shared = ops.maximum(low[:, 1] - high[:, 0], 0.0)
        hull = ops.maximum(high[:, 1] - low[:, 0], 1e-3)
        return distance + 0.5 * (1 - shared / hull)


def new_processor() -> TvpProcessor:
    """Frames of 64 pixels with values in -1..1, blue first, and a tokenizer of whole words."""
    texts = [query.format(side) for query in QUERIES["train"] for side in DIRECTIONS]
    with tempfile.TemporaryDirectory() as folder:
        write_word_pieces(Path(folder), texts)
        tokenizer = BertTokenizerFast.from_pretrained(folder, model_max_length=LONGEST)
    side = {"height": SIZE, "width": SIZE}
    images = TvpImageProcessor(
        size={"longest_edge": SIZE},
        do_center_crop=False,
        pad_size=side,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return TvpProcessor(images, tokenizer)


def new_model(vocabulary: int, seed: int) -> TFTvpForVideoGrounding:
    """An untrained model whose visual prompts are a shutter."""
    backbone = {
        "model_type": "resnet",
        "embedding_size": STEM,
        "hidden_sizes": [CHANNELS],
        "depths": [1],
        "layer_type": "bottleneck",
    }
    config = TvpConfig(
        backbone_config=backbone,
        visual_prompt_size=BLOCK,
        max_img_size=SIZE,
        num_frames=FRAMES,
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LONGEST,
        max_grid_col_position_embeddings=8,
        max_grid_row_position_embeddings=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.12,
        pad_token_id=0,
    )
    model = TFTvpForVideoGrounding(config)
    prompter, sheet = model.model.visual_prompter, shutter()
    prompter.pad_up.assign(sheet[None, :, :, :BLOCK])
    prompter.pad_down.assign(sheet[None, :, :, -BLOCK:])
    prompter.pad_left.assign(sheet[None, :, :, BLOCK:-BLOCK, :BLOCK])
    prompter.pad_right.assign(sheet[None, :, :, BLOCK:-BLOCK, -BLOCK:])
    _see_colours(model, np.random.default_rng(seed))
    return model


def _see_colours(model: TFTvpForVideoGrounding, rng: np.random.Generator) -> None:
    """Starts the backbone so that covered pixels give 0, and visible ones their colour.

    Each filter of stem and shortcut looks at one colour, and has no negative weights: covered
    pixels fall below the mean, and ReLU drops them; otherwise they would outweigh the visible ones
    eleven to one. The grid takes differences of colours, and its scale makes up for the mean over
    the frames.
    """
    backbone, grid = model.model.vision_model.backbone, model.model.vision_model.grid_encoder_conv
    block = backbone.stages[0].blocks[0]
    stem, shortcut = backbone.stem.convolution.kernel, block.shortcut.convolution.kernel
    window = np.hanning(stem.shape[0] + 2)[1:-1]
    filters = np.multiply.outer(np.outer(window, window), np.resize(np.eye(3), (STEM, 3)).T)
    stem.assign(filters / window.sum() ** 2)
    shortcut.assign(np.resize(np.eye(STEM), (CHANNELS, STEM)).T[None, None])
    block.convs[-1].normalization.gamma.assign(np.zeros(CHANNELS))
    mixtures = rng.normal(0, 1, (CHANNELS, WIDTH))
    mixtures = (mixtures - mixtures.mean(axis=0)) * FRAMES / np.sqrt(CHANNELS) / 9
    grid.kernel.assign(np.broadcast_to(2 * mixtures, grid.kernel.shape))


def shutter() -> np.ndarray:
    """(T, 3, S, S): 0 in the middle and in one block of the border, clockwise, else `COVER`."""
    count = SIZE // BLOCK
    last = count - 1
    ring = [(0, i) for i in range(last)] + [(i, last) for i in range(last)]
    ring += [(last, last - i) for i in range(last)] + [(last - i, 0) for i in range(last)]
    sheet = np.full((FRAMES, 3, SIZE, SIZE), COVER, np.float32)
    sheet[..., BLOCK:-BLOCK, BLOCK:-BLOCK] = 0
    for frame, (row, column) in zip(sheet, ring, strict=True):
        frame[:, row * BLOCK :, column * BLOCK :][:, :BLOCK, :BLOCK] = 0
    return sheet


def to_pixels(frames: np.ndarray) -> np.ndarray:
    """(..., S, S, 3) uint8 -> what the processor makes of frames of its own size."""
    return np.moveaxis(frames[..., ::-1], -1, -3).astype(np.float32) / 127.5 - 1


def batches(
    processor: TvpProcessor, seed: int, size: int = BATCH
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Endless batches of fresh clips, each with one question; `y` holds start and end in 0..1."""
    rng, sources = np.random.default_rng(seed), photos("train")
    texts = {side: [query.format(side) for query in QUERIES["train"]] for side in DIRECTIONS}
    ids = {
        side: dict(processor(text=some, return_tensors="np", max_text_length=LONGEST))
        for side, some in texts.items()
    }
    while True:
        rows: list[dict[str, np.ndarray]] = []
        spans = []
        for number in range(size):
            clip = make_clip(sources[rng.integers(len(sources))], rng, FRAMES, SIZE)
            side = DIRECTIONS[number % 2]
            query = rng.integers(len(texts[side]))
            row = {name: values[query] for name, values in ids[side].items()}
            rows.append({**row, "pixel_values": to_pixels(clip.frames)})
            spans.append(clip.spans[side])
        inputs = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        yield inputs, np.array(spans, np.float32)


def train(
    model: TFTvpForVideoGrounding,
    processor: TvpProcessor,
    seed: int,
    steps: int = STEPS,
    size: int = BATCH,
    **options: Any,
) -> keras.callbacks.History:
    """Fits the model; `options` are those of `compile`."""
    compile_for(model, steps, PEAK_RATE, loss=SpanLoss(), **options)
    return fit(model, lambda: batches(processor, seed, size), steps)


def evaluate(
    model: TFTvpForVideoGrounding, processor: TvpProcessor, clips: int = TEST_CLIPS
) -> dict[str, float]:
    """Mean IoU on held-out clips and wordings, and that of the best constant answer to them."""
    rng, sources = np.random.default_rng(TEST_SEED), photos("test")
    found, truth = [], []
    for number in range(clips):
        clip = make_clip(sources[number % len(sources)], rng, FRAMES, SIZE)
        side = DIRECTIONS[int(rng.integers(2))]
        query = QUERIES["test"][rng.integers(len(QUERIES["test"]))].format(side)
        inputs = processor(text=query, videos=[list(clip.frames)], return_tensors="np")
        outputs = model(**inputs, training=False)
        found.append(keras.ops.convert_to_numpy(outputs.logits)[0])
        truth.append(clip.spans[side])
    spans = np.array(truth)
    return {
        "mean_iou": mean_iou(np.array(found), spans),
        "constant": best_constant(spans)[2],
    }


def write_sample(folder: Path) -> None:
    """Writes a held-out clip and `demo.json`, for `tfzoo demo`."""
    count = 4 * FRAMES
    clip = make_clip(photos("test")[1], np.random.default_rng(TEST_SEED), count, SIZE)
    write_film(folder / "sample.gif", clip.frames, milliseconds=100)
    seconds = {side: [x * (count - 1) / 10 for x in clip.spans[side]] for side in DIRECTIONS}
    truth = "; ".join(f"{side} {a:.1f} to {b:.1f} s" for side, (a, b) in seconds.items())
    queries = [QUERIES["test"][0].format(side) for side in DIRECTIONS]
    words = ["sample.gif", *(word for query in queries for word in ("--query", query))]
    write_demo(folder, "tells when the camera pans left and right", truth, words)


def main() -> None:
    args = arguments(__doc__)
    started, processor = start(args.seed), new_processor()
    model = new_model(len(processor.tokenizer), args.seed)
    train(model, processor, args.seed)
    write_sample(args.out)
    size = save(args.out, model, processor)
    report(started, model, size, evaluate(model, processor))


if __name__ == "__main__":
    main()
