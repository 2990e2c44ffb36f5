"""Everything of tfzoo that replaces files, and what it writes in two versions.

Heavy packages are imported when a writer needs them: a small process is forked faster.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import string
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import tfzoo
from tfzoo.core.files import write_json
from weights_convert.checkpoint import INDEX_NAME, write_checkpoint

__all__ = ["WRITERS", "Writer"]

Write = Callable[[Path, int], Any]

SIZES = {
    "image_size": 8,
    "patch_size": 4,
    "num_frames": 2,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}


@dataclass(frozen=True)
class Writer:
    """Something that replaces files.

    Attributes:
        name: What it writes.
        path: Its file or folder.
        write: Writes version 1 or 2 of it to a path.
        shares: Whether its folder may hold other files.
        gates: The files that readers need, see `tfzoo.core.replacing.updating`.
        is_new: Whether it never replaces an older version.
    """

    name: str
    path: str
    write: Write
    shares: bool = False
    gates: tuple[str, ...] = ()
    is_new: bool = False

    def prepare(self, root: Path) -> None:
        """Write the first version, among other files."""
        place = root / self.path
        place.parent.mkdir(parents=True)
        (place.parent / "beside.txt").write_text("other")
        if self.shares:
            place.mkdir()
            (place / "mine.txt").write_text("other")
            for name in ("processor_config.json", "video_preprocessor_config.json"):
                write_json(place / name, {"image_processor": {"size": 9}, "other": 1})
        if not self.is_new:
            self.write(place, 1)


@cache
def model(version: int) -> Any:
    """A TimeSformer whose weights all are its version's number."""
    labels = dict(enumerate(("cat", "dog") if version == 1 else ("dog", "cat", "cow")))
    config = tfzoo.TimesformerConfig(**SIZES, id2label=labels)
    made = tfzoo.TFTimesformerForVideoClassification(config, name="model")
    for weight in made.weights:
        weight.assign(np.full(weight.shape, version, weight.dtype))
    return made


@cache
def adapted(version: int) -> Any:
    """A TimeSformer with adapters."""
    made = tfzoo.TFTimesformerForVideoClassification(tfzoo.TimesformerConfig(**SIZES))
    made.enable_lora(version, alpha=version, train="classifier")
    return made


@cache
def clip_tokenizer(version: int) -> Any:
    """A tokenizer of letters, in its second version with numbers."""
    signs = string.ascii_lowercase + ("" if version == 1 else string.digits)
    tokens = [sign + end for end in ("", "</w>") for sign in signs]
    tokens += ["ab", "cd"][:version] + ["<|startoftext|>", "<|endoftext|>"]
    merges = ["#version: 0.2", "a b", "c d"][: version + 1]
    folder = Path(tempfile.mkdtemp())
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(merges) + "\n")
    return tfzoo.CLIPTokenizerFast.from_pretrained(folder, model_max_length=10 * version)


@cache
def bert_tokenizer(version: int) -> Any:
    """A tokenizer of letters."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase[:version]]
    folder = Path(tempfile.mkdtemp())
    (folder / "vocab.txt").write_text("\n".join(tokens))
    return tfzoo.BertTokenizerFast.from_pretrained(folder, model_max_length=10 * version)


def image_processor(version: int) -> Any:
    """A processor of frames."""
    return tfzoo.VideoMAEImageProcessor(crop_size=version)


@dataclass
class Archive:
    """Stands for Keras's archive, whose writing needs TensorFlow's threads."""

    version: int

    def add_endpoint(self, *_: Any, **__: Any) -> None:
        """Trace nothing."""

    def write_out(self, path: str, verbose: bool = False) -> None:
        folder = Path(path)
        (folder / "variables").mkdir(parents=True)
        (folder / "saved_model.pb").write_text(f"graph {self.version}")
        for name in ("variables.index", "variables.data-00000-of-00001"):
            (folder / "variables" / name).write_text(f"values {self.version}")


def _archives(version: int) -> Any:
    import keras

    return mock.patch.object(keras.export, "ExportArchive", partial(Archive, version))


def _weights(path: Path, version: int, shards: bool = True) -> None:
    rows = [(f"t{i}", "F32", (4,), lambda: np.full(4, version, "f4")) for i in range(4)]
    write_checkpoint(path, rows, max_shard_bytes=(3 - version) * 16 if shards else 999)


def _export(path: Path, version: int) -> None:
    with _archives(version):
        model(version).export(path, verbose=False)


def _publish(path: Path, version: int) -> None:
    from tfzoo.export import serving

    with contextlib.suppress(FileExistsError):
        serving._publish(Archive(version), path, [], can_be_batched=True)


def _convert(to: str) -> Write:
    def write(path: Path, version: int) -> None:
        from tfzoo.cli import convert

        arguments = argparse.Namespace(
            source="source", target=path, to=to, dtype=None, force=True, json=True
        )
        own = {
            "_load": lambda _: model(version),
            "_processor_folder": lambda _: None,
            "start_keras": lambda: None,
        }
        with mock.patch.multiple(convert, **own), _archives(version):
            convert.run(arguments)

    return write


def _records(version: int) -> Iterator[Any]:
    from tfzoo.data.regions.features import RegionFeatures

    for name in ("cat", "dog", "cow")[: version + 1]:
        boxes = np.array([[0, 0, 4, 8]], "float32")
        yield RegionFeatures(name, 8, 8, boxes, np.full((1, 5), version, "float32"))


def _regions(path: Path, version: int) -> None:
    from tfzoo.data.regions.files import write_region_features

    write_region_features(path, _records(version), force=True)


def _picture(path: Path, version: int) -> None:
    from PIL import Image

    from tfzoo.io.image_writer import write_image

    write_image(Image.new("RGB", (4 * version, 4)), path)


def _video(path: Path, version: int) -> None:
    from tfzoo.io import write_video

    write_video(path, np.zeros((2, 16 * version, 16, 3), np.uint8))


def _task(path: Path, version: int) -> None:
    from tfzoo.tasks.video_classification import VideoClassification

    VideoClassification(model(version), image_processor(version)).save_pretrained(path)


def _saved(version_1: str, version_2: str) -> Write:
    def write(path: Path, version: int) -> None:
        model(version).save_pretrained(path, max_shard_size=(version_1, version_2)[version - 1])

    return write


def _shards(path: Path, version: int) -> None:
    model(version).save_weights(path, max_shard_size=2e-6 * version)


_CONFIG = ("config.json",)
_INDEXED = ("config.json", INDEX_NAME)
_CLIP = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json")
_IMAGES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")

WRITERS = [
    Writer("json", "in/a.json", lambda path, v: write_json(path, {"version": v})),
    Writer("picture", "in/a.png", _picture),
    Writer("video", "in/a.mp4", _video),
    Writer("weights", "in/m", _weights, True, (INDEX_NAME,)),
    Writer("config", "in/m", lambda path, v: model(v).config.save_pretrained(path), True),
    Writer("model", "in/m", _saved("5GB", "5GB"), True, _CONFIG),
    Writer("shards", "in/m", _saved("2KB", "3KB"), True, _INDEXED),
    Writer("to shards", "in/m", _saved("5GB", "3KB"), True, _INDEXED),
    Writer("from shards", "in/m", _saved("3KB", "5GB"), True, _INDEXED),
    Writer("clip", "in/m", lambda path, v: clip_tokenizer(v).save_pretrained(path), True, _CLIP),
    Writer(
        "bert",
        "in/m",
        lambda path, v: bert_tokenizer(v).save_pretrained(path),
        True,
        ("tokenizer.json", "vocab.txt", "tokenizer_config.json"),
    ),
    Writer(
        "images", "in/m", lambda path, v: image_processor(v).save_pretrained(path), True, _IMAGES
    ),
    Writer(
        "processor",
        "in/m",
        lambda path, v: tfzoo.XCLIPProcessor(image_processor(v), clip_tokenizer(v)).save_pretrained(
            path
        ),
        True,
        (*_IMAGES, *_CLIP),
    ),
    Writer("task", "in/m", _task, True, (*_CONFIG, *_IMAGES)),
    Writer(
        "adapters",
        "in/m",
        lambda path, v: adapted(v).save_adapters(path),
        True,
        ("adapter_config.json",),
    ),
    Writer("keras", "in/m.keras", lambda path, v: model(v).save(path)),
    Writer("keras folder", "in/m", lambda path, v: model(v).save(path, zipped=False), False),
    Writer("h5", "in/m.weights.h5", lambda path, v: model(v).save_weights(path)),
    Writer("h5 shards", "in/m.weights.json", _shards),
    Writer("export", "in/m", _export),
    Writer("serving", "in/m/1", _publish, is_new=True),
    Writer("to pytorch", "in/m", _convert("pytorch")),
    Writer("to keras", "in/m.keras", _convert("keras")),
    Writer("to weights", "in/m.weights.h5", _convert("weights")),
    Writer("to savedmodel", "in/m", _convert("savedmodel")),
    Writer("tsv", "in/r.tsv", _regions),
    Writer("region h5", "in/r.h5", _regions),
    Writer("npz", "in/r", _regions),
]
