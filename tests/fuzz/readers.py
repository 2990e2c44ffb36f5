"""The readers: how each is called, and what must be true of what it accepts.

A function here imports what it needs when it is called, in the process that reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz import seeds, trained
from tests.fuzz.judge import Prepared, check
from tests.fuzz.mutants import Files

__all__ = ["LIGHT", "READERS", "Reader"]

_TEXT = "A photo of 2 cats."


def _config() -> Prepared:
    from tfzoo.auto import AutoConfig
    from tfzoo.core.config import PretrainedConfig

    def right(config: Any) -> None:
        text = config.to_json_string()
        again = type(config).from_dict(json.loads(text))
        check(again.to_json_string() == text, "the config is not what it is written as")
        check(config.num_labels == len(config.id2label), "num_labels is not that of id2label")
        check(type(config).from_dict(config.to_dict()).to_json_string() == text, "to_dict differs")
        repr(config)

    documented = (AutoConfig.from_pretrained, PretrainedConfig.from_pretrained)
    return Prepared(AutoConfig.from_pretrained, right, documented)


def _pixels(processor: Any) -> Any:
    """A small image, or a video for a processor of videos."""
    frames = (np.arange(3 * 20 * 30 * 3) % 256).astype(np.uint8).reshape(3, 20, 30, 3)
    of_videos = type(processor).__name__ in ("VideoMAEImageProcessor", "TvpImageProcessor")
    return frames if of_videos else frames[0]


def _right_features(features: Any) -> None:
    for name, value in features.items():
        check(isinstance(value, np.ndarray) and value.size > 0, f"{name} is not an array")
        check(value.dtype.kind in "iufb", f"{name} has the dtype {value.dtype}")
        check(bool(np.isfinite(value).all()), f"{name} is not finite")


def _image_processor() -> Prepared:
    from tfzoo.auto import AutoImageProcessor
    from tfzoo.preprocessing.processor import BaseImageProcessor

    def read(folder: Path) -> Any:
        processor = AutoImageProcessor.from_pretrained(folder)
        return processor, processor(_pixels(processor), return_tensors="np")

    def right(found: Any) -> None:
        processor, features = found
        check(isinstance(processor, BaseImageProcessor), f"a {type(processor).__name__}")
        _right_features(features)
        again = type(processor).from_dict(json.loads(json.dumps(processor.to_dict())))
        check(repr(again) == repr(processor), "the processor is not what it is written as")

    return Prepared(read, right, _of_images())


def _of_images() -> list[Any]:
    """What documents the errors of image processors."""
    import tfzoo
    from tfzoo.auto import AutoImageProcessor
    from tfzoo.preprocessing.processor import BaseImageProcessor

    names = ("Owlv2", "OwlViT", "Perceiver", "Tvp", "VideoMAE")
    classes = [getattr(tfzoo, f"{name}ImageProcessor") for name in names]
    load = [AutoImageProcessor.from_pretrained, BaseImageProcessor.from_pretrained]
    return [*load, *(cls.preprocess for cls in classes)]


def _of_texts() -> list[Any]:
    """What documents the errors of tokenizers."""
    from tfzoo.auto import AutoTokenizer
    from tfzoo.text.tokenizer import BaseTokenizer

    return [AutoTokenizer.from_pretrained, BaseTokenizer.from_pretrained, BaseTokenizer.__call__]


def _tokenizer() -> Prepared:
    from tfzoo.auto import AutoTokenizer
    from tfzoo.text.tokenizer import BaseTokenizer

    def read(folder: Path) -> Any:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return folder, tokenizer, tokenizer([_TEXT, ""])["input_ids"]

    def right(found: Any) -> None:
        folder, tokenizer, rows = found
        check(isinstance(tokenizer, BaseTokenizer), f"a {type(tokenizer).__name__}")
        check(all(type(i) is int and i >= 0 for row in rows for i in row), "ids are not numbers")
        check(all(isinstance(text, str) for text in tokenizer.batch_decode(rows)), "not texts")
        tokenizer.save_pretrained(folder / "again")
        again = type(tokenizer).from_pretrained(folder / "again")
        check(again([_TEXT, ""])["input_ids"] == rows, "saved, it gives other ids")

    return Prepared(read, right, _of_texts())


def _processor() -> Prepared:
    from tfzoo.auto import AutoProcessor
    from tfzoo.preprocessing.multimodal import BaseProcessor
    from tfzoo.preprocessing.processor import BaseImageProcessor
    from tfzoo.text.tokenizer import BaseTokenizer

    def read(folder: Path) -> Any:
        processor = AutoProcessor.from_pretrained(folder)
        if isinstance(processor, BaseTokenizer):
            return processor, processor(_TEXT, return_tensors="np")
        is_whole = isinstance(processor, BaseProcessor)  # others keep keys of files as attributes
        images = processor.image_processor if is_whole else processor
        return processor, images(_pixels(images), return_tensors="np")

    def right(found: Any) -> None:
        processor, features = found
        known = (BaseProcessor, BaseImageProcessor, BaseTokenizer)
        check(isinstance(processor, known), f"a {type(processor).__name__}")
        _right_features(features)

    whole = [AutoProcessor.from_pretrained, BaseProcessor.from_pretrained]
    return Prepared(read, right, [*whole, *_of_images(), *_of_texts()])


def _only(folder: Path, stem: str) -> Path:
    """The file of a folder whose name begins so."""
    return next(path for path in sorted(folder.iterdir()) if path.name.startswith(stem))


def _image() -> Prepared:
    from tfzoo.io import read_image

    def read(folder: Path) -> Any:
        path = _only(folder, "image")
        return read_image(path), path

    def right(found: Any) -> None:
        pixels, path = found
        check(pixels.dtype == np.uint8 and pixels.ndim == 3, f"{pixels.dtype}, {pixels.shape}")
        check(pixels.shape[2] == 3 and pixels.size > 0, f"the shape {pixels.shape}")
        if pixels.size < 10**7:
            same = np.array_equal(read_image(path.read_bytes()), pixels)
            check(same, "the file and its bytes give different images")

    return Prepared(read, right, [read_image])


def _frames() -> Prepared:
    from tfzoo.io import read_frames

    def right(found: np.ndarray) -> None:
        check(found.dtype == np.uint8 and found.ndim == 4 and found.size > 0, f"{found.shape}")

    return Prepared(read_frames, right, [read_frames])


def _video() -> Prepared:
    from tfzoo.io import read_video

    def read(folder: Path) -> Any:
        path = _only(folder, "clip")
        clip = read_video(path, num_frames=2)
        return clip, read_video(path) if clip.total_frames <= 50 else None

    def right(found: Any) -> None:
        clip, whole = found
        check(clip.frames.dtype == np.uint8 and clip.frames.ndim == 4, f"{clip.frames.shape}")
        check(clip.frames.shape[0] == 2 and clip.frames.size > 0, f"{clip.frames.shape}")
        check(0 <= clip.fps < 1e7, f"fps is {clip.fps}")
        check(0 <= clip.duration < 1e9, f"duration is {clip.duration}")
        check(clip.indices.max() < clip.total_frames, "a frame behind the end")
        if whole is not None:
            check(len(whole) == clip.total_frames, "another number of frames")

    return Prepared(read, right, [read_video])


def _weights() -> Prepared:
    """Weights of every format: the one file that is there, or an index."""
    from weights_convert.checkpoint import Checkpoint, open_checkpoint

    def read(folder: Path) -> Any:
        indexes = sorted(folder.glob("*.json"))
        path = indexes[0] if indexes else sorted(folder.iterdir())[0]
        with open_checkpoint(path) as checkpoint:
            return {name: (info, checkpoint.read(name)) for name, info in checkpoint.items()}

    def right(found: Any) -> None:
        for name, (info, array) in found.items():
            check(array.shape == info.shape, f"{name!r} has another shape than it says")
            check(array.dtype.kind in "iufb", f"{name!r} has the dtype {array.dtype}")

    return Prepared(read, right, [open_checkpoint, Checkpoint, Checkpoint.read])


def _regions() -> Prepared:
    from tfzoo.data.regions import check_region_features, open_region_features, region_batch
    from tfzoo.data.regions.files import RegionFeatureFile

    def read(folder: Path) -> Any:
        files = sorted(folder.glob("regions.*"))
        path = files[0] if files else folder
        index = folder / seeds.PLACES if (folder / seeds.PLACES).exists() else None
        if index is not None and path.suffix == ".tsv":
            os.utime(path, ns=seeds.TIMES)  # else the index would count as that of another file
        with open_region_features(path, index=index) as images:
            found = [images[name] for name in images]
            again = list(images.records())
        for record in found:
            batch = region_batch([record])
            width = batch["visual_feats"].shape[-1]
            check_region_features(**batch, feature_width=width, num_boxes=None)
        return found, again

    def right(found: Any) -> None:
        by_name, in_order = found
        same = {record.image_id: record for record in in_order}
        check(len(same) == len(in_order), "an image that comes twice")
        for one in by_name:
            other = same[one.image_id]
            check(one.boxes.shape == (len(one.features), 4), "boxes that are not of the features")
            check(one.boxes.dtype == one.features.dtype == np.float32, f"{one.features.dtype}")
            check(np.array_equal(one.features, other.features, equal_nan=True), "other features")

    documented = (
        *(open_region_features, check_region_features, region_batch),
        RegionFeatureFile.records,
    )
    return Prepared(read, right, documented)


@dataclass(frozen=True)
class Reader:
    """A row of the table.

    Attributes:
        name: What it reads.
        share: How many of some 20,000 inputs are its own.
        seeds: Makes the sound files.
        prepare: Makes it ready to read, in a process of its own.
        renames: Whether files get other names as well.
        is_light: Whether it works without TensorFlow.
    """

    name: str
    share: int
    seeds: Callable[[], Iterable[Files]]
    prepare: Callable[[], Prepared]
    renames: bool = False
    is_light: bool = True


_TABLE = (
    Reader("config", 2600, seeds.configs, _config),
    Reader("image_processor", 2000, seeds.image_processors, _image_processor),
    Reader("tokenizer", 2400, seeds.tokenizers, _tokenizer),
    Reader("processor", 1000, seeds.processors, _processor),
    Reader("image", 3000, seeds.images, _image),
    Reader("frames", 300, seeds.frames, _frames, renames=True),
    Reader("video", 1600, seeds.videos, _video),
    Reader("safetensors", 1600, seeds.safetensors, _weights),
    Reader("index", 700, seeds.indexes, _weights),
    Reader("pickle", 1600, seeds.pickles, _weights),
    Reader("tf_model_h5", 500, seeds.tensorflow_weights, _weights),
    Reader("regions_tsv", 900, seeds.region_tables, _regions),
    Reader("regions_npz", 700, seeds.region_arrays, _regions, renames=True),
    Reader("regions_h5", 900, seeds.region_rows, _regions),
    Reader("coco", 700, seeds.boxes, trained.detections, is_light=False),
    Reader("questions", 400, seeds.questions, trained.questions, is_light=False),
    Reader("moments", 300, seeds.moments, trained.moments, is_light=False),
    Reader("adapters", 700, trained.adapter_seeds, trained.adapters, is_light=False),
    Reader("keras", 250, trained.keras_seeds, trained.keras_files, is_light=False),
    Reader("keras_weights", 300, trained.weight_seeds, trained.keras_weights, is_light=False),
    Reader("model", 700, seeds.models, trained.models, is_light=False),
)
READERS = {reader.name: reader for reader in _TABLE}
LIGHT = [reader.name for reader in _TABLE if reader.is_light]
