"""Trains the small X-CLIP that ships with tfzoo: which sentence tells how the camera moves?

    python -m recipes.xclip_camera_motion --out DIR --seed 0

The clips are those of `camera_motion`, with pans of at least a quarter of the frame, in scenes that
are lit in red from one side and in green from another: X-CLIP passes one token of each frame on to
the transformer over frames, and colours let it tell where the camera looks. (In a scene without
such light one token does not show what moved from frame to frame.) The sentences are those of
`motion_sentences`, in byte pairs learnt from them. Each step has 56 clips, 14 in four views, and
seven sentences, one for each motion in a randomly drawn wording: the model has to find the right
one, by a softmax over its `logits_per_video`.

Test: 1400 clips from four photos that it never saw, each against seven sentences in wordings that
it never read; chance is 1 in 7.

Measured with seed 0: 329,161 parameters, 1.39 MB; 11.3 wall-clock minutes on two shared cores
(10.7 CPU minutes); accuracy 0.954.

Needs tfzoo with its 'train' extra. DIR gets all files of a checkpoint. The same seed gives the same
files on the same machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from recipes.camera_motion import LABELS, REVERSED, balanced_clips, make_clip, photos
from recipes.motion_sentences import sentences
from recipes.running import arguments, compile_for, fit, report, save, start, weaken
from recipes.samples import write_demo, write_film
from recipes.small_vocabularies import write_bpe
from recipes.timesformer_camera_motion import time_waves, to_inputs
from tfzoo import (
    CLIPTokenizerFast,
    TFXCLIPModel,
    VideoMAEImageProcessor,
    XCLIPConfig,
    XCLIPProcessor,
)

__all__ = ["batches", "evaluate", "main", "new_model", "new_processor", "train", "write_sample"]

SIZE, FRAMES, PATCH, WIDTH, TEXT_WIDTH = 48, 8, 16, 60, 48
LEAST = 0.25  # of a frame, the shortest pan
STEPS, CLIPS, PEAK_RATE = 2400, 14, 1.5e-3
MERGES, LONGEST, MISHEARD = 240, 77, 0.1
TEST_CLIPS, TEST_SEED = 1400, 1_000_003
SWAPPED = {
    "pan left": "pan up",
    "pan up": "pan left",
    "pan right": "pan down",
    "pan down": "pan right",
    "zoom in": "zoom in",
    "zoom out": "zoom out",
    "still": "still",
}


def new_processor() -> XCLIPProcessor:
    """Frames of 48 pixels with values in -1..1, and a tokenizer of about 710 byte pairs."""
    texts = [text for label in LABELS for text in sentences(label, "train")]
    with tempfile.TemporaryDirectory() as folder:
        write_bpe(Path(folder), texts, MERGES)
        tokenizer = CLIPTokenizerFast.from_pretrained(folder, model_max_length=LONGEST)
    images = VideoMAEImageProcessor(size={"shortest_edge": SIZE}, crop_size=SIZE)
    return XCLIPProcessor(images, tokenizer)


def new_model(vocabulary: int, seed: int) -> TFXCLIPModel:
    """An untrained model, initialised so that it learns motion soon."""
    text = {
        "vocab_size": vocabulary,
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 2 * TEXT_WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": LONGEST,
    }
    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "mit_hidden_size": WIDTH,
        "mit_intermediate_size": 3 * WIDTH,
        "mit_num_hidden_layers": 2,
        "mit_num_attention_heads": 4,
        "image_size": SIZE,
        "patch_size": PATCH,
        "num_frames": FRAMES,
    }
    config = XCLIPConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=WIDTH,
        prompt_layers=1,
        prompt_num_attention_heads=4,
    )
    model = TFXCLIPModel(config)
    weaken(model, r"message_fc$", WIDTH**-0.5)
    weaken(model, r"^prompts_generator\.", 0.02)
    _prepare(model, np.random.default_rng(seed))
    return model


def _prepare(model: TFXCLIPModel, rng: np.random.Generator) -> None:
    """Initialises patches with their colour and place, and frames with their order."""
    embeddings = model.vision_model.embeddings
    kernel = embeddings.patch_embedding.projection.kernel
    height, width, *colours = kernel.shape
    mixtures = rng.normal(0, 1, colours) / (height * width)
    kernel.assign(np.broadcast_to(mixtures, kernel.shape))
    table = embeddings.position_embedding.embeddings
    table.assign(rng.normal(0, 0.5, table.shape))
    model.mit.position_embedding.assign(time_waves(FRAMES, WIDTH)[None])


def encoded(processor: XCLIPProcessor, split: str) -> list[dict[str, np.ndarray]]:
    """For each motion all sentences, all padded to the longest of any: (sentences, N) each."""
    every = [sentences(label, split) for label in LABELS]
    together = processor(text=list(chain.from_iterable(every)), padding=True, return_tensors="np")
    ends = np.cumsum([len(some) for some in every])[:-1]
    parts = {name: np.split(together[name], ends) for name in ("input_ids", "attention_mask")}
    return [{name: parts[name][i] for name in parts} for i in range(len(LABELS))]


def views(clip: np.ndarray, label: str) -> list[tuple[np.ndarray, str]]:
    """The clip, and mirrored so that right is below and red is green; and both backwards."""
    mirrored = np.swapaxes(clip, 1, 2)[..., [1, 0, 2]], SWAPPED[label]
    forwards = [(clip, label), mirrored]
    return forwards + [(frames[::-1], REVERSED[name]) for frames, name in forwards]


def misheard(
    said: dict[str, np.ndarray], vocabulary: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The same sentences with a tenth of the byte pairs replaced at random; the ends are kept.

    So the model cannot memorise wordings, and learns to ignore words that it never met.
    """
    ids, mask = said["input_ids"], said["attention_mask"]
    inside = np.arange(ids.shape[1]) < mask.sum(axis=1, keepdims=True) - 1
    inside[:, 0] = False
    noise = inside & (rng.random(ids.shape) < MISHEARD)
    other = rng.integers(vocabulary - 2, size=ids.shape)  # the last two are the ends
    return {**said, "input_ids": np.where(noise, other, ids)}


def one_of_each(
    texts: Sequence[dict[str, np.ndarray]], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """A sentence for each motion, (7, N)."""
    rows = [rng.integers(len(some["input_ids"])) for some in texts]
    return {
        name: np.stack([some[name][row] for some, row in zip(texts, rows, strict=True)])
        for name in texts[0]
    }


def batches(
    processor: XCLIPProcessor, seed: int, clips: int = CLIPS
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Endless batches of 4 x `clips` clips, seven sentences, and the index of each right one."""
    rng, sources = np.random.default_rng(seed), photos("train")
    texts = encoded(processor, "train")
    offset = 0
    while True:
        shown: list[tuple[np.ndarray, str]] = []
        for label in (np.arange(clips) + offset) % len(LABELS):
            photo, name = sources[rng.integers(len(sources))], LABELS[label]
            shown += views(make_clip(photo, name, rng, FRAMES, SIZE, LEAST, lit=True), name)
        offset += clips
        frames, names = zip(*shown, strict=True)
        heard = misheard(one_of_each(texts, rng), len(processor.tokenizer), rng)
        inputs = {**heard, **to_inputs(np.stack(frames))}
        yield inputs, np.array([LABELS.index(name) for name in names], np.int32)


def train(
    model: TFXCLIPModel,
    processor: XCLIPProcessor,
    seed: int,
    steps: int = STEPS,
    clips: int = CLIPS,
    **options: Any,
) -> keras.callbacks.History:
    """Fits the model; `options` are those of `compile`."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    compile_for(model, steps, PEAK_RATE, loss=loss, metrics=["accuracy"], **options)
    return fit(model, lambda: batches(processor, seed, clips), steps)


def evaluate(model: TFXCLIPModel, processor: XCLIPProcessor, clips: int = TEST_CLIPS) -> float:
    """Share of the held-out clips that get the right one of seven unseen sentences."""
    rng, texts = np.random.default_rng(TEST_SEED), encoded(processor, "test")
    score = tf.function(lambda inputs: model(inputs, training=False).logits_per_video)
    right = 0
    for clip, label in balanced_clips(photos("test"), clips, rng, FRAMES, SIZE, LEAST, True):
        videos = processor(videos=[list(clip)], return_tensors="np")
        inputs = {**videos, **one_of_each(texts, rng)}
        logits = score({name: tf.constant(value) for name, value in inputs.items()})
        right += int(np.argmax(logits.numpy()[0]) == label)
    return right / clips


def write_sample(folder: Path) -> None:
    """Writes a held-out clip and `demo.json`, for `tfzoo demo`."""
    rng = np.random.default_rng(TEST_SEED)
    clip = make_clip(photos("test")[0], "pan left", rng, 8, 64, LEAST, lit=True)
    write_film(folder / "sample.gif", clip)
    texts = [sentences(label, "test")[0] for label in LABELS]
    words = ["sample.gif", "--labels", *texts, "--top-k", "3"]
    write_demo(folder, "tells which sentence describes the camera's motion", texts[0], words)


def main() -> None:
    args = arguments(__doc__)
    started, processor = start(args.seed), new_processor()
    model = new_model(len(processor.tokenizer), args.seed)
    train(model, processor, args.seed)
    write_sample(args.out)
    size = save(args.out, model, processor)
    report(started, model, size, {"accuracy": evaluate(model, processor)})


if __name__ == "__main__":
    main()
