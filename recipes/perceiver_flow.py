"""Trains the small Perceiver that ships with tfzoo: how does each pixel move between two frames?

    python -m recipes.perceiver_flow --out DIR --seed 0

Pairs of frames are cut from one photo; the second is moved by a known field, a shift of up to two
pixels, a turn and a zoom. Every pixel starts as random mixtures of its brightness, its slopes and
its change: attention, which weighs one by the other, can sum their products from the start.

Test: 400 pairs from four photos that it never saw; the end-point error beside that of the answer
"nothing moves".

Measured with seed 0: 335,248 parameters, 1.36 MB; 32.4 wall-clock minutes on two shared, busy cores
(19.4 CPU minutes); an end-point error of 0.242 pixels, that of zero flow 1.359.

Needs tfzoo with its 'train' extra. DIR gets all files of a checkpoint. The same seed gives the same
files on the same machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageFilter

from recipes.camera_motion import photos
from recipes.running import arguments, compile_for, fit, report, save, start
from recipes.samples import write_demo, write_photo
from tfzoo import PerceiverConfig, TFPerceiverForOpticalFlow, flow_patches

__all__ = ["batches", "evaluate", "frame_pair", "main", "new_model", "train", "write_sample"]

SIZE, WIDTH, LATENTS = 24, 48, 32
SHIFT, TURN, ZOOM = 2.0, 0.05, 0.05  # pixels, radians, and parts
BLUR, CONTRAST = 1.2, 45.0  # pixels, and the standard deviation in grey levels
STEPS, BATCH, PEAK_RATE = 6000, 16, 1e-3
LEAST_TEXTURE, TRIES = 6.0, 8  # standard deviation in grey levels
TEST_PAIRS, TEST_SEED = 400, 1_000_003


def new_model(seed: int) -> TFPerceiverForOpticalFlow:
    """An untrained model that starts from slopes and changes, and answers in pixels."""
    config = PerceiverConfig(
        num_latents=LATENTS,
        d_latents=WIDTH,
        num_self_attends_per_block=3,
        num_self_attention_heads=4,
        num_cross_attention_heads=1,
        qk_channels=WIDTH,
        v_channels=WIDTH,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,
        train_size=[SIZE, SIZE],
    )
    model = TFPerceiverForOpticalFlow(config)
    perceiver, rng = model.perceiver, np.random.default_rng(seed)
    kernel = perceiver.input_preprocessor.conv_after_patches.kernel
    kernel.assign(slopes_and_changes(kernel.shape[1], rng))
    last = perceiver.decoder.decoder
    last.final_layer.kernel.assign(perceiver.decoder.rescale_factor * last.final_layer.kernel)
    return model


def slopes_and_changes(count: int, rng: np.random.Generator) -> np.ndarray:
    """(54, count) random mixtures of brightness, slopes and change, the same for all colours.

    Of both frames, (2, 3, 3, 3): time, row, column, colour. Slopes and changes of photos are far
    smaller than their brightness, and than the position encodings beside them.
    """
    across = np.zeros((2, 3, 3, 3)) + np.array([-1, 0, 1])[None, None, :, None]
    change = np.zeros((2, 3, 3, 3)) + np.array([-1, 1])[:, None, None, None]
    basis = np.stack([np.ones((2, 3, 3, 3)) * 0.2, across, across.swapaxes(1, 2), change])
    return basis.reshape(4, -1).T @ rng.normal(0, 0.4, (4, count))


def frame_pair(
    photo: Image.Image, rng: np.random.Generator, size: int = SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Two frames (2, S, S, 3) uint8 of a photo, and the flow (S, S, 2) in pixels, right and down.

    Of a few places in the photo the first with enough texture is taken, since without texture no
    motion is visible. Frames are blurred, and all have the same contrast.

    Example:
        >>> frames, flow = frame_pair(Image.new("RGB", (90, 80)), np.random.default_rng(0))
        >>> frames.shape, flow.shape
        ((2, 24, 24, 3), (24, 24, 2))
    """
    direction, way = rng.uniform(0, 2 * np.pi), SHIFT * np.sqrt(rng.random())
    shift = way * np.array([np.cos(direction), np.sin(direction)])
    turn, zoom = rng.uniform(-TURN, TURN), rng.uniform(-ZOOM, ZOOM)
    field = np.array([[zoom, -turn], [turn, zoom]])
    margin = SHIFT + 2 * size * (TURN + ZOOM)
    scale = rng.uniform(1.0, min(3.0, (min(photo.size) - 2) / (size + 2 * margin)))
    reach = scale * (size / 2 + margin)
    for _ in range(TRIES):
        middle = rng.uniform(reach, np.array(photo.size) - reach)
        part, inside = _softened(photo, middle, reach, BLUR * scale)
        frames = np.stack(
            [
                _seen(part, inside, scale * np.eye(2), np.zeros(2), size),
                _seen(part, inside, scale * np.linalg.inv(np.eye(2) + field), shift, size),
            ]
        )
        if frames[0].mean(axis=2).std() >= LEAST_TEXTURE:
            break
    frames = 127.5 + (frames - frames.mean()) * CONTRAST / max(frames[0].std(), 1.0)
    places = np.stack(np.meshgrid(*[np.arange(size) + 0.5] * 2), axis=-1) - size / 2
    frames = np.clip(frames + rng.normal(0, rng.uniform(0, 1.5), frames.shape) + 0.5, 0, 255)
    return frames.astype(np.uint8), (shift + places @ field.T).astype(np.float32)


def _softened(
    photo: Image.Image, middle: np.ndarray, reach: float, radius: float
) -> tuple[Image.Image, np.ndarray]:
    """The blurred part of a photo around a place, and that place in the part."""
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.minimum(np.ceil(middle + reach), photo.size).astype(int)
    part = photo.crop((*low.tolist(), *high.tolist()))
    return part.filter(ImageFilter.GaussianBlur(radius)), middle - low


def _seen(
    photo: Image.Image, middle: np.ndarray, matrix: np.ndarray, shift: np.ndarray, size: int
) -> np.ndarray:
    """(S, S, 3): pixel q shows the photo at `middle` + `matrix` (q - S / 2 - `shift`)."""
    offset = middle - matrix @ (size / 2 + shift)
    data = (matrix[0, 0], matrix[0, 1], offset[0], matrix[1, 0], matrix[1, 1], offset[1])
    seen = photo.transform(
        (size, size), Image.Transform.AFFINE, data, resample=Image.Resampling.BICUBIC
    )
    return np.asarray(seen, np.float32)


def batches(seed: int, size: int = BATCH) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Endless batches of fresh pairs and their flow."""
    rng, sources = np.random.default_rng(seed), photos("train")
    while True:
        pairs = [frame_pair(sources[rng.integers(len(sources))], rng) for _ in range(size)]
        inputs = np.stack([flow_patches(frames) for frames, _ in pairs])
        yield {"inputs": inputs}, np.stack([flow for _, flow in pairs])


def train(
    model: TFPerceiverForOpticalFlow,
    seed: int,
    steps: int = STEPS,
    size: int = BATCH,
    **options: Any,
) -> keras.callbacks.History:
    """Fits the model with its own loss, the end-point error; `options` are those of `compile`."""
    compile_for(model, steps, PEAK_RATE, **options)
    return fit(model, lambda: batches(seed, size), steps)


def evaluate(model: TFPerceiverForOpticalFlow, pairs: int = TEST_PAIRS) -> dict[str, float]:
    """End-point errors in pixels on held-out photos: the model's, and that of zero flow."""
    rng, sources = np.random.default_rng(TEST_SEED), photos("test")
    errors, lengths = [], []
    for number in range(pairs):
        frames, flow = frame_pair(sources[number % len(sources)], rng)
        found = model(inputs=flow_patches(frames)[None], training=False).logits
        difference = keras.ops.convert_to_numpy(found)[0] - flow
        errors.append(np.linalg.norm(difference, axis=-1).mean())
        lengths.append(np.linalg.norm(flow, axis=-1).mean())
    return {"end_point_error": float(np.mean(errors)), "zero_flow": float(np.mean(lengths))}


def write_sample(folder: Path) -> None:
    """Writes two held-out frames and `demo.json`, for `tfzoo demo`."""
    frames, flow = frame_pair(photos("test")[3], np.random.default_rng(TEST_SEED), 2 * SIZE)
    names = [f"sample_{number}.png" for number in (1, 2)]
    for name, frame in zip(names, frames, strict=True):
        write_photo(folder / name, frame)
    right, down = flow.mean((0, 1)).tolist()
    truth = f"mean {right:.2f} to the right, {down:.2f} downwards"
    write_demo(folder, "tells how each pixel moves between two frames", truth, names)


def main() -> None:
    args = arguments(__doc__)
    started, model = start(args.seed), new_model(args.seed)
    train(model, args.seed)
    write_sample(args.out)
    size = save(args.out, model)
    report(started, model, size, evaluate(model))


if __name__ == "__main__":
    main()
