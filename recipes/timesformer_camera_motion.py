"""Trains the small TimeSformer that ships with tfzoo: it tells how the camera moves.

    python -m recipes.timesformer_camera_motion --out DIR --seed 0

Cost: 15 to 18 wall-clock minutes on two shared CPU cores.
Result: 247,559 parameters, 1.0 MB; accuracy 0.979 on 1400 clips from four photos that it never saw
(most errors are in the dark, empty sky of one).

Needs tfzoo with its 'train' extra. DIR gets config.json, model.safetensors and
preprocessor_config.json. The same seed gives the same file on the same machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from recipes.camera_motion import LABELS, REVERSED, TURNED, balanced_clips, make_clip, photos
from recipes.samples import write_demo, write_film
from tfzoo import TFTimesformerForVideoClassification, TimesformerConfig, VideoMAEImageProcessor

__all__ = ["evaluate", "main", "new_model", "new_processor", "train", "write_sample"]

SIZE, FRAMES = 48, 8
STEPS, WARMUP, BATCH, PEAK_RATE = 3000, 200, 64, 1e-3
STEPS_PER_EPOCH = 250
TEST_CLIPS, TEST_SEED = 1400, 1_000_003


def new_processor() -> VideoMAEImageProcessor:
    """Resizes the short side to 48 pixels and crops the middle; values lie in -1..1."""
    return VideoMAEImageProcessor(size={"shortest_edge": SIZE}, crop_size=SIZE)


def new_model(seed: int) -> TFTimesformerForVideoClassification:
    """An untrained model of 0.25 million parameters, initialised so that it learns motion soon."""
    config = TimesformerConfig(
        image_size=SIZE,
        patch_size=12,
        num_frames=FRAMES,
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=128,
        initializer_range=0.07,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
        # Camera motion is seen in neighbouring frames: how a video should be sampled.
        sampling="centre",
        frame_sample_rate=2,
    )
    model = TFTimesformerForVideoClassification(config)
    embeddings = model.timesformer.embeddings
    embeddings.time_embeddings.assign(time_waves(FRAMES, config.hidden_size)[None])
    kernel = embeddings.patch_embeddings.projection.kernel
    kernel.assign(smooth_filters(*kernel.shape, np.random.default_rng(seed)))
    return model


def time_waves(frames: int, width: int) -> np.ndarray:
    """(T, D) waves of eight frequencies and several phases, which encode the order of frames.

    The reference starts the time embeddings at zero. Until they have grown, attention over time
    cannot tell a clip from its reverse, and training stalls where it knows the axis of a pan but
    not its direction (loss 0.7, accuracy 0.55).
    """
    wave = np.arange(width // 2)
    angle = np.arange(frames)[:, None] * np.pi * (wave % 8 + 1) / 8 + wave // 8 * 0.7
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def smooth_filters(
    height: int, width: int, channels: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """(height, width, C, D) mixtures of the lowest 4 x 4 cosines, the same for all colours.

    A filter of white noise responds at random when the patch moves by a pixel; the response of a
    smooth filter changes gradually, and motion can be read from that.
    """
    rows, columns = (
        np.cos(np.pi * (np.arange(n)[:, None] + 0.5) * np.arange(4) / n) for n in (height, width)
    )
    grey = np.einsum("hk,wl,kld->hwd", rows, columns, rng.normal(size=(4, 4, count)))
    filters = np.repeat(grey[:, :, None], channels, axis=2)
    return 0.5 * filters / filters.std() / np.sqrt(height * width * channels)


def batches(seed: int) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Endless batches of fresh clips, each in four orientations (see `turns`)."""
    rng, sources = np.random.default_rng(seed), photos("train")
    while True:
        shown = []
        for label in rng.permutation(np.arange(BATCH // 4) % len(LABELS)):
            photo = sources[rng.integers(len(sources))]
            shown += turns(make_clip(photo, LABELS[label], rng, FRAMES, SIZE), LABELS[label])
        clips, labels = zip(*shown, strict=True)
        yield to_inputs(np.stack(clips)), np.array([LABELS.index(x) for x in labels], np.int32)


def turns(clip: np.ndarray, label: str) -> list[tuple[np.ndarray, str]]:
    """The clip in its four quarter turns, every second one backwards: balanced and almost free."""
    shown = []
    for quarter in range(4):
        backwards = quarter % 2
        shown.append((clip[::-1], REVERSED[label]) if backwards else (clip, label))
        clip, label = np.rot90(clip, axes=(1, 2)), TURNED[label]
    return shown


def to_inputs(clips: np.ndarray) -> dict[str, np.ndarray]:
    """(B, T, S, S, 3) uint8 -> what the processor makes of frames of its own size."""
    pixels = np.moveaxis(clips, -1, 2).astype(np.float32)
    return {"pixel_values": pixels / 127.5 - 1}


def train(model: TFTimesformerForVideoClassification, seed: int) -> None:
    """Fits the model with AdamW, a short warm-up and a cosine decay."""
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, STEPS - WARMUP, alpha=0.01, warmup_target=PEAK_RATE, warmup_steps=WARMUP
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=0.02, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    pixels = tf.TensorSpec((BATCH, FRAMES, 3, SIZE, SIZE), tf.float32)
    spec = ({"pixel_values": pixels}, tf.TensorSpec((BATCH,), tf.int32))
    data = tf.data.Dataset.from_generator(lambda: batches(seed), output_signature=spec)
    model.fit(
        data.prefetch(4),
        steps_per_epoch=STEPS_PER_EPOCH,
        epochs=STEPS // STEPS_PER_EPOCH,
        shuffle=False,
        verbose=2,
    )


def evaluate(
    model: TFTimesformerForVideoClassification, processor: VideoMAEImageProcessor
) -> tuple[float, dict[str, float]]:
    """Accuracy on clips from the held-out photos: overall and of each class."""
    rng = np.random.default_rng(TEST_SEED)
    clips, labels = zip(*balanced_clips(photos("test"), TEST_CLIPS, rng, FRAMES, SIZE), strict=True)
    pixels = processor([list(clip) for clip in clips], return_tensors="np")["pixel_values"]
    logits = model.predict({"pixel_values": pixels}, batch_size=100, verbose=0)["logits"]
    right = logits.argmax(-1) == np.array(labels)
    each = {name: right[np.array(labels) == i].mean() for i, name in enumerate(LABELS)}
    return float(right.mean()), {name: round(float(value), 3) for name, value in each.items()}


def write_sample(folder: Path) -> None:
    """Writes a held-out clip and `demo.json`, for `tfzoo demo`."""
    rng = np.random.default_rng(TEST_SEED)
    frames = make_clip(photos("test")[1], "zoom in", rng, 2 * FRAMES, 64)
    write_film(folder / "sample.gif", frames)
    words = ["sample.gif", "--top-k", "3"]
    write_demo(folder, "tells how the camera moves", "zoom in", words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keras.utils.set_random_seed(args.seed)
    tf.config.experimental.enable_op_determinism()
    started = time.monotonic()
    model, processor = new_model(args.seed), new_processor()
    print(f"{model.count_params()} parameters")
    train(model, args.seed)
    write_sample(args.out)
    model.save_pretrained(args.out)
    processor.save_pretrained(args.out)
    accuracy, each = evaluate(model, processor)
    minutes = (time.monotonic() - started) / 60
    print(f"{minutes:.1f} minutes; accuracy {accuracy:.4f} on {TEST_CLIPS} held-out clips: {each}")


if __name__ == "__main__":
    main()
