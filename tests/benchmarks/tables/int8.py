"""What int8 weights cost and save on the checkpoints that ship with tfzoo: `docs/features.md`.

    python -m tests.benchmarks.tables.int8 [NAME ...]

Measures the named checkpoints, all of them by default, and writes their rows of the page's table
anew; other rows stay.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tfzoo
from recipes import (
    lxmert_easy_vqa,
    owlv2_shapes,
    perceiver_bytes,
    perceiver_digits,
    perceiver_flow,
    timesformer_camera_motion,
    tvp_pans,
    xclip_camera_motion,
)
from recipes.easy_vqa_regions import questions
from recipes.prose import held_out_prose
from tests.benchmarks.tables.pages import replace_table, table_of
from tests.support.paths import FIXTURES, ROOT
from tfzoo.assets import shipped_checkpoints

__all__ = ["CHECKS", "Check", "documented_rows", "load", "main", "measured"]

PAGE, MARK = ROOT / "docs" / "features.md", "<!-- table: int8 -->\n"
HEAD = (
    "| checkpoint, figure | float32 | int8 | MB | MB | ms, 8 samples | ms, 8 samples |\n"
    "|---|---:|---:|---:|---:|---:|---:|\n"
)


@dataclass(frozen=True)
class Check:
    """How a checkpoint is judged.

    Attributes:
        model: Its class.
        processor: The class of the processor or tokenizer beside it, where it has one.
        what: The figure's name.
        figure: Model and processor -> the figure.
        inputs: Model and processor -> inputs of eight samples.
    """

    model: str
    processor: str | None
    what: str
    figure: Callable[[Any, Any], float]
    inputs: Callable[[Any, Any], Mapping[str, Any]]


def _answers(model: Any, tokenizer: Any) -> Any:
    """The questions kept here, encoded."""
    labels = [model.config.id2label[i] for i in range(model.config.num_qa_labels)]
    split = questions("test", FIXTURES / "easy_vqa")
    return lxmert_easy_vqa.Encoded(split, tokenizer, labels)


def _scenes(model: Any, processor: Any) -> dict[str, Any]:
    """Eight scenes with their queries."""
    (inputs,) = next(owlv2_shapes.batches(processor, 0, 8))
    return {name: value for name, value in inputs.items() if name != "labels"}


CHECKS = {
    "timesformer-camera-motion": Check(
        "TFTimesformerForVideoClassification",
        "AutoImageProcessor",
        "accuracy",
        lambda model, processor: timesformer_camera_motion.evaluate(model, processor)[0],
        lambda model, processor: {
            k: v[:8] for k, v in next(timesformer_camera_motion.batches(0))[0].items()
        },
    ),
    "xclip-camera-motion": Check(
        "TFXCLIPModel",
        "AutoProcessor",
        "accuracy",
        lambda model, processor: xclip_camera_motion.evaluate(model, processor, clips=420),
        lambda model, processor: next(xclip_camera_motion.batches(processor, 0, 1))[0],
    ),
    "owlv2-shapes": Check(
        "TFOwlv2ForObjectDetection",
        "AutoProcessor",
        "AP50",
        lambda model, processor: owlv2_shapes.evaluate(model, processor, scenes=200),
        _scenes,
    ),
    "lxmert-easy-vqa": Check(
        "TFLxmertForQuestionAnswering",
        "AutoTokenizer",
        "accuracy",
        lambda model, tokenizer: float(
            np.mean(lxmert_easy_vqa.evaluate(model, _answers(model, tokenizer)))
        ),
        lambda model, tokenizer: _answers(model, tokenizer).inputs(np.arange(8)),
    ),
    "perceiver-bytes": Check(
        "TFPerceiverForMaskedLM",
        "AutoTokenizer",
        "accuracy",
        lambda model, tokenizer: perceiver_bytes.evaluate(model)["accuracy"],
        lambda model, tokenizer: next(perceiver_bytes.batches(held_out_prose(), 0, 8))[0],
    ),
    "perceiver-digits": Check(
        "TFPerceiverForImageClassificationFourier",
        "AutoImageProcessor",
        "accuracy",
        perceiver_digits.evaluate,
        lambda model, processor: next(perceiver_digits.batches(processor, 0, 8))[0],
    ),
    "perceiver-flow": Check(
        "TFPerceiverForOpticalFlow",
        None,
        "end-point error in pixels",
        lambda model, _: perceiver_flow.evaluate(model, pairs=200)["end_point_error"],
        lambda model, _: next(perceiver_flow.batches(0, 8))[0],
    ),
    "tvp-pans": Check(
        "TFTvpForVideoGrounding",
        "AutoProcessor",
        "mean IoU",
        lambda model, processor: tvp_pans.evaluate(model, processor, clips=200)["mean_iou"],
        lambda model, processor: next(tvp_pans.batches(processor, 0, 8))[0],
    ),
}


def load(name: str) -> tuple[Check, Any, Any]:
    """How a checkpoint is judged, its model and its processor."""
    check, folder = CHECKS[name], shipped_checkpoints()[name]
    processor = check.processor and getattr(tfzoo, check.processor).from_pretrained(folder)
    return check, getattr(tfzoo, check.model).from_pretrained(folder), processor


def measured(name: str) -> list[tuple[float, float, float]]:
    """Figure, MB of the `.keras` file and ms for eight samples: in float32, and in int8."""
    check, model, processor = load(name)
    inputs, rows = check.inputs(model, processor), []
    for mode in (None, "int8"):
        if mode is not None:
            model.quantize(mode)
        with tempfile.TemporaryDirectory() as folder:
            model.save(path := Path(folder) / "m.keras")
            size = path.stat().st_size
        rows.append((check.figure(model, processor), size / 1e6, 1e3 * _latency(model, inputs)))
    return rows


def _latency(model: Any, inputs: Any, calls: int = 15) -> float:
    """Median of several predictions after a first one."""
    seconds = []
    for _ in range(calls + 1):
        start = time.perf_counter()
        model.predict_on_batch(inputs)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def _row(name: str) -> str:
    """The table's line of a checkpoint."""
    pairs = zip(*measured(name), strict=True)
    cells = [f"{x:.{d}f}" for d, pair in zip((3, 2, 0), pairs, strict=True) for x in pair]
    return f"| `{name}`, {CHECKS[name].what} | {' | '.join(cells)} |"


def documented_rows() -> dict[str, str]:
    """Checkpoint -> its line, as the page has them."""
    lines = table_of(PAGE, MARK).splitlines()[2:]
    return {line.split("`")[1]: line for line in lines}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the table."""
    names = list(CHECKS)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*names, []])  # [] where none is given
    rows = documented_rows()
    for name in parser.parse_args(arguments).names or names:
        rows[name] = _row(name)
        print(rows[name], flush=True)
        ordered = [rows[one] for one in CHECKS if one in rows]
        replace_table(PAGE, MARK, HEAD + "\n".join(ordered) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
