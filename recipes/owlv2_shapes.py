"""Trains the small OWLv2 that ships with tfzoo: it finds coloured shapes that a text names.

    python -m recipes.owlv2_shapes --out DIR --seed 0

The scenes are those of `scenes`: one to three shapes on a part of a photo, 96 pixels a side. Each
training image has eight queries, some present and some absent, above all the same colours in other
shapes: full names ("a red ring"), in a fifth of the images colours alone ("something red") and in
another fifth shapes alone ("a ring"). So the model learns what colours and shapes are instead of
40 pairs by heart. The loss is the model's own: matching, focal, L1, generalised IoU,
objectness.

Test: 400 scenes on four photos that it never saw; the queries are the eight pairs of colour and
shape that were never drawn or named in training, and the scenes also hold others. Beside AP50, how
often the box most similar to a query image of such a pair is the right one.

Measured with seed 0: 309,256 parameters, 1.29 MB; 20.1 wall-clock minutes on two shared cores
(23.3 CPU minutes); AP50 0.830, image-guided 0.920.

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

from recipes.camera_motion import photos
from recipes.running import arguments, compile_for, fit, report, save, start, weaken
from recipes.samples import write_demo, write_photo
from recipes.scenes import COLOURS, HELD_OUT, SHAPES, TRAINING, Scene, draw_scene
from recipes.small_vocabularies import write_bpe
from tfzoo import (
    CLIPTokenizerFast,
    Owlv2Config,
    Owlv2ImageProcessor,
    Owlv2Processor,
    TFOwlv2ForObjectDetection,
)
from tfzoo.metrics import average_precision, box_iou

__all__ = [
    "batches",
    "evaluate",
    "guided_accuracy",
    "main",
    "new_model",
    "new_processor",
    "train",
    "write_sample",
]

SIZE, PATCH, WIDTH, TEXT_WIDTH = 96, 12, 80, 64
QUERIES, MOST = 8, 3  # queries and shapes of an image
CLOSE = 3  # queries of an image that name one of its colours with another shape
PLAIN = 0.2  # share of the images whose queries are colours; the same for shapes
STEPS, BATCH, PEAK_RATE = 10_000, 32, 1e-3
MERGES, LONGEST = 120, 16
TEMPLATES = ("a {}", "the {}", "{}", "a photo of a {}", "find the {}")
TEST_SCENES, TEST_SEED = 400, 1_000_003


def new_processor() -> Owlv2Processor:
    """Images of 96 pixels, and a tokenizer of about 600 byte pairs, padded as OWLv2's."""
    names = [f"{colour} {shape}" for colour, shape in TRAINING]
    texts = [template.format(name) for template in TEMPLATES for name in [*names, "thing"]]
    with tempfile.TemporaryDirectory() as folder:
        write_bpe(Path(folder), [*texts, "something"], MERGES)
        tokenizer = CLIPTokenizerFast.from_pretrained(
            folder, pad_token="!", model_max_length=LONGEST
        )
    return Owlv2Processor(Owlv2ImageProcessor(size={"height": SIZE, "width": SIZE}), tokenizer)


def new_model(vocabulary: int) -> TFOwlv2ForObjectDetection:
    """An untrained model of 64 boxes."""
    text = {
        "vocab_size": vocabulary,
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 2 * TEXT_WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": LONGEST,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
    }
    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": SIZE,
        "patch_size": PATCH,
    }
    config = Owlv2Config(text_config=text, vision_config=vision, projection_dim=TEXT_WIDTH)
    model = TFOwlv2ForObjectDetection(config)
    weaken(model, r"^\w+_head\.", WIDTH**-0.5)
    return model


def some_scene(
    sources: Sequence[Any], pairs: Sequence[tuple[str, str]], rng: np.random.Generator
) -> Scene:
    """One to three different pairs on one of the photos."""
    chosen = rng.permutation(len(pairs))[: rng.integers(1, MOST + 1)]
    photo = sources[rng.integers(len(sources))]
    return draw_scene(photo, SIZE, [pairs[i] for i in chosen], rng)


def queries_for(scene: Scene, rng: np.random.Generator) -> tuple[list[str], list[int]]:
    """Eight queries, and for each shape of the scene the index of its own."""
    template, kind = TEMPLATES[rng.integers(len(TEMPLATES))], rng.random()
    if kind < PLAIN:  # all colours: each shape is of one
        colours = [list(COLOURS)[i] for i in rng.permutation(len(COLOURS))]
        word = "something {}" if rng.random() < 0.5 else template.format("{} thing")
        return [word.format(c) for c in colours], [colours.index(c) for c, _ in scene.pairs]
    others = _absent_pairs(scene, rng)
    if kind < 2 * PLAIN:  # all shapes, filled up with names of what is not there
        shapes = [SHAPES[i] for i in rng.permutation(len(SHAPES))]
        names = [*shapes, *(" ".join(pair) for pair in others[: QUERIES - len(shapes)])]
        return [template.format(n) for n in names], [shapes.index(s) for _, s in scene.pairs]
    pairs = [*scene.pairs, *others][:QUERIES]
    pairs = [pairs[i] for i in rng.permutation(QUERIES)]
    names = [template.format(" ".join(pair)) for pair in pairs]
    return names, [pairs.index(pair) for pair in scene.pairs]


def _absent_pairs(scene: Scene, rng: np.random.Generator) -> list[tuple[str, str]]:
    """The pairs that are not in the scene: first some of its colours in other shapes, then any."""
    absent = [pair for pair in TRAINING if pair not in scene.pairs]
    absent = [absent[i] for i in rng.permutation(len(absent))]
    colours = {colour for colour, _ in scene.pairs}
    close = [pair for pair in absent if pair[0] in colours][:CLOSE]
    return close + [pair for pair in absent if pair not in close]


def targets_of(scenes: Sequence[Scene], indices: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """The loss's labels: boxes by centre and size in 0..1, the queries' indices, -1 for padding."""
    boxes = np.zeros((len(scenes), MOST, 4), np.float32)
    labels = np.full((len(scenes), MOST), -1, np.int64)
    for row, (scene, own) in enumerate(zip(scenes, indices, strict=True)):
        low, high = scene.boxes[:, :2] / SIZE, scene.boxes[:, 2:] / SIZE
        boxes[row, : len(own)] = np.concatenate([(low + high) / 2, high - low], axis=1)
        labels[row, : len(own)] = own
    return {"boxes": boxes, "class_labels": labels}


def batches(
    processor: Owlv2Processor, seed: int, size: int = BATCH
) -> Iterator[tuple[dict[str, Any]]]:
    """Endless batches of fresh scenes with their queries and labels."""
    rng, sources = np.random.default_rng(seed), photos("train")
    images = processor.image_processor
    mean, std = np.array(images.image_mean) * 255, np.array(images.image_std) * 255
    known: dict[str, np.ndarray] = {}
    while True:
        scenes = [some_scene(sources, TRAINING, rng) for _ in range(size)]
        texts, indices = zip(*(queries_for(scene, rng) for scene in scenes), strict=True)
        pixels = (np.stack([scene.image for scene in scenes]) - mean) / std
        rows = np.stack([_ids(processor, text, known) for some in texts for text in some])
        yield (
            {
                "input_ids": rows[:, 0],
                "pixel_values": np.moveaxis(pixels, -1, 1).astype(np.float32),
                "attention_mask": rows[:, 1],
                "labels": targets_of(scenes, indices),
            },
        )


def _ids(processor: Owlv2Processor, text: str, known: dict[str, np.ndarray]) -> np.ndarray:
    """(2, N): ids and mask of a text, which is tokenized once."""
    if text not in known:
        found = processor(text=[text], return_tensors="np")
        known[text] = np.concatenate([found["input_ids"], found["attention_mask"]]).astype(np.int64)
    return known[text]


def train(
    model: TFOwlv2ForObjectDetection,
    processor: Owlv2Processor,
    seed: int,
    steps: int = STEPS,
    size: int = BATCH,
    **options: Any,
) -> keras.callbacks.History:
    """Fits the model with its own loss; `options` are those of `compile`."""
    compile_for(model, steps, PEAK_RATE, **options)
    return fit(model, lambda: batches(processor, seed, size), steps)


def evaluate(
    model: TFOwlv2ForObjectDetection, processor: Owlv2Processor, scenes: int = TEST_SCENES
) -> float:
    """AP50 of the eight pairs that training never saw, on photos that it never saw."""
    rng, sources = np.random.default_rng(TEST_SEED), photos("test")
    queries = [f"a photo of a {colour} {shape}" for colour, shape in HELD_OUT]
    bank = model.encode_queries(queries, processor)
    found: list[Any] = []
    truth: list[Any] = []
    for _ in range(scenes):
        scene = _test_scene(sources, rng)
        pixels = processor(images=scene.image, return_tensors="np")["pixel_values"]
        outputs = model.detect(pixels, bank)
        found += processor.post_process_object_detection(
            outputs, threshold=0.02, target_sizes=[(SIZE, SIZE)]
        )
        wanted = [i for i, pair in enumerate(scene.pairs) if pair in HELD_OUT]
        labels = [HELD_OUT.index(scene.pairs[i]) for i in wanted]
        truth.append({"boxes": scene.boxes[wanted], "labels": np.array(labels, np.int64)})
    return average_precision(found, truth, 0.5)


def _test_scene(sources: Sequence[Any], rng: np.random.Generator) -> Scene:
    """One to three shapes: the first is of an unseen pair, the others of any."""
    first = HELD_OUT[rng.integers(len(HELD_OUT))]
    others = [pair for pair in (*HELD_OUT, *TRAINING) if pair != first]
    more = [others[i] for i in rng.permutation(len(others))[: rng.integers(0, MOST)]]
    return draw_scene(sources[rng.integers(len(sources))], SIZE, [first, *more], rng)


def guided_accuracy(
    model: TFOwlv2ForObjectDetection, processor: Owlv2Processor, scenes: int = TEST_SCENES // 2
) -> float:
    """How often the most similar box shows the query image's pair, which training never saw."""
    rng, sources = np.random.default_rng(TEST_SEED + 1), photos("test")
    right = 0
    for _ in range(scenes):
        scene = _test_scene(sources, rng)
        shown = draw_scene(sources[rng.integers(len(sources))], SIZE, scene.pairs[:1], rng)
        inputs = processor(images=scene.image, query_images=shown.image, return_tensors="np")
        outputs = model.image_guided_detection(**inputs, query_boxes=shown.boxes[:1] / SIZE)
        best = int(np.argmax(keras.ops.convert_to_numpy(outputs.logits)[0].max(axis=-1)))
        box = keras.ops.convert_to_numpy(outputs.target_pred_boxes)[0, best] * SIZE
        corners = np.concatenate([box[:2] - box[2:] / 2, box[:2] + box[2:] / 2])
        right += int(np.squeeze(box_iou(corners[None], scene.boxes[:1])) >= 0.5)
    return right / scenes


def write_sample(folder: Path) -> None:
    """Writes a held-out scene and `demo.json`, for `tfzoo demo`."""
    rng = np.random.default_rng(TEST_SEED)
    scene = draw_scene(photos("test")[2], SIZE, HELD_OUT[:3], rng)
    write_photo(folder / "sample.png", scene.image)
    names = [" ".join(pair) for pair in HELD_OUT[:4]]
    truth = "; ".join(
        f"{' '.join(pair)} at {', '.join(f'{x:.0f}' for x in box)}"
        for pair, box in zip(scene.pairs, scene.boxes.tolist(), strict=True)
    )
    words = ["sample.png", "--labels", *names, "--template", "a photo of a {}"]
    write_demo(folder, "finds the coloured shapes that a text names", truth, words)


def main() -> None:
    args = arguments(__doc__)
    started, processor = start(args.seed), new_processor()
    model = new_model(len(processor.tokenizer))
    train(model, processor, args.seed)
    write_sample(args.out)
    size = save(args.out, model, processor)
    figures = {
        "ap50": evaluate(model, processor),
        "guided": guided_accuracy(model, processor),
    }
    report(started, model, size, figures)


if __name__ == "__main__":
    main()
