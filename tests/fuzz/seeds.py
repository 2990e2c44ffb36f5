"""The sound files that are mutated: the repository's own, and some made on the spot.

Each function yields folders. Names that begin with an underscore are not mutated; a folder with a
file `_odd` may be refused as it is.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, PngImagePlugin

from tests.fuzz.mutants import Files
from tests.io.synthetic import make_video
from tests.support.paths import FIXTURES, ROOT

ASSETS = ROOT / "tfzoo" / "assets"
CASE = "_case"  # the file that names a case of the families' tests
SKIP = "_skip"  # where it is, broken files are to be skipped
PLACES = "regions.tsv.index.json"  # of lines
TIMES = (10**18, 10**18)  # access and change of the table that this index is of, in ns

_TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json")
_VOCABULARY = ("vocab.txt", "vocab.json", "merges.txt")


def folder_files(folder: Path, names: Iterable[str] | None = None) -> Files:
    """The files of a folder, those of `names` that it has."""
    paths = sorted(p for p in folder.iterdir() if p.is_file())
    return {p.name: p.read_bytes() for p in paths if names is None or p.name in names}


def made(write: Callable[[Path], Any]) -> Files:
    """The files that a function writes into a folder."""
    folder = Path(tempfile.mkdtemp())
    try:
        write(folder)
        return folder_files(folder)
    finally:
        shutil.rmtree(folder)


def as_json(value: Any) -> bytes:
    """A JSON file."""
    return json.dumps(value, indent=2).encode()


# -- settings of checkpoints ----------------------------------------------------------------------


def configs() -> Iterator[Files]:
    for path in sorted([*ASSETS.glob("*/config.json"), *FIXTURES.glob("models/*/*/config.json")]):
        yield {"config.json": path.read_bytes()}


def image_processors() -> Iterator[Files]:
    for path in sorted(ASSETS.glob("*/preprocessor_config.json")):
        content = path.read_bytes()
        yield {path.name: content}
        yield {path.name: content, "config.json": (path.parent / "config.json").read_bytes()}
        yield {"video_preprocessor_config.json": content}
        for section in ("image_processor", "video_processor"):
            yield {"processor_config.json": as_json({section: json.loads(content)})}


def tokenizers() -> Iterator[Files]:
    for folder in sorted(path.parent for path in ASSETS.glob("*/tokenizer_config.json")):
        yield folder_files(folder, (*_TOKENIZER, *_VOCABULARY))
        yield folder_files(folder, _TOKENIZER)
        older = folder_files(folder, (*_TOKENIZER[:2], *_VOCABULARY))
        yield older
        settings = json.loads(older["tokenizer_config.json"])
        settings.pop("added_tokens_decoder", None)  # as releases before 4.34 wrote it
        if "vocab.txt" in older:
            added = as_json({"[NEW]": older["vocab.txt"].count(b"\n")})
            yield {
                **older,
                "tokenizer_config.json": as_json(settings),
                "added_tokens.json": added,
            }
        if "vocab.txt" in older or "vocab.json" in older:  # the family alone tells the class
            yield folder_files(folder, (*_TOKENIZER[1:], *_VOCABULARY, "config.json"))


def processors() -> Iterator[Files]:
    for folder in sorted(path.parent for path in ASSETS.glob("*/preprocessor_config.json")):
        names = (*_TOKENIZER, *_VOCABULARY, "preprocessor_config.json", "config.json")
        files = folder_files(folder, names)
        yield files
        settings = json.loads(files.pop("preprocessor_config.json"))
        combined = {"image_processor": settings, "processor_class": settings.get("processor_class")}
        if "tokenizer.json" in files:  # as transformers 5 writes it
            yield {**files, "processor_config.json": as_json(combined)}


# -- images and videos ----------------------------------------------------------------------------

_PHOTO = FIXTURES / "photos" / "coffee_77x129.png"
_COMMON = (
    *(("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("WEBP", {})),
    *(("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "jpeg"})),
)
_ODD = (
    *(("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_adobe_deflate"})),
    *(("AVIF", {}), ("DDS", {}), ("DIB", {}), ("ICNS", {}), ("ICO", {}), ("IM", {}), ("MPO", {})),
    *(("JPEG2000", {}), ("PCX", {}), ("PPM", {}), ("QOI", {}), ("SGI", {}), ("SPIDER", {})),
    *(("TGA", {}), ("TGA", {"compression": "tga_rle"}), ("EPS", {}), ("PDF", {}), ("BLP", {})),
)
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    '"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:tiff='
    '"http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def images() -> Iterator[Files]:
    photo = Image.open(_PHOTO).convert("RGB").resize((38, 64))
    for kind, how in _COMMON:
        yield {f"image.{kind.lower()}": _encoded(photo, kind, **how)}
    for kind, how in _ODD:
        image = photo.convert("P") if kind == "BLP" else photo
        with suppress(Exception):  # whatever this release of Pillow cannot write
            yield {f"image.{kind.lower()}": _encoded(image, kind, **how), "_odd": b""}
    grey = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    for mode in ("L", "LA", "1", "P", "RGBA"):
        yield {"image.png": _encoded(photo.convert(mode), "PNG")}
    yield {"image.png": _encoded(photo.convert("P"), "PNG", transparency=5)}
    yield {"image.png": _encoded(Image.fromarray(grey), "PNG")}
    yield {"image.pgm": _encoded(Image.fromarray(grey), "PPM"), "_odd": b""}
    yield {"image.tiff": _encoded(Image.fromarray(grey), "TIFF")}
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x8298] = "a camera's maker", 6, "somebody"
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        yield {f"image.{kind.lower()}": _encoded(photo, kind, exif=exif)}
    about = PngImagePlugin.PngInfo()
    about.add_itxt("XML:com.adobe.xmp", _XMP)
    yield {"image.png": _encoded(photo, "PNG", pnginfo=about)}
    for kind in ("GIF", "WEBP", "PNG"):
        yield {f"image.{kind.lower()}": _animation(kind)}


def frames() -> Iterator[Files]:
    pixels = [Image.new("RGB", (12, 8), (40 * i, 0, 0)) for i in range(4)]
    yield {f"frame{i}.png": _encoded(image, "PNG") for i, image in enumerate(pixels, 8)}
    yield {f"{i}.jpg": _encoded(image, "JPEG") for i, image in enumerate(pixels)}


def _encoded(image: Image.Image, kind: str, **how: Any) -> bytes:
    image.save(buffer := io.BytesIO(), kind, **how)
    return buffer.getvalue()


def _animation(kind: str) -> bytes:
    pictures = [Image.new("RGB", (24, 16), (40 * i, 90, 0)) for i in range(6)]
    return _encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=40)


_VIDEOS = (
    ("clip.mp4", "libx264", "yuv420p"),
    ("clip.mp4", "mpeg4", "yuv420p"),
    ("clip.mov", "mjpeg", "yuvj420p"),
    ("clip.mkv", "libx264", "yuv420p"),
    ("clip.mkv", "ffv1", "yuv420p"),
    ("clip.webm", "libvpx", "yuv420p"),
    ("clip.avi", "mpeg4", "yuv420p"),
    ("clip.ts", "libx264", "yuv420p"),
    ("clip.flv", "flv1", "yuv420p"),
    ("clip.mpg", "mpeg2video", "yuv420p"),
    ("clip.ogv", "libtheora", "yuv420p"),
    ("clip.wmv", "wmv2", "yuv420p"),
)


def videos() -> Iterator[Files]:
    for name, codec, pixels in _VIDEOS:
        with suppress(av.FFmpegError, ValueError):  # an encoder that this FFmpeg lacks
            yield _video(name, codec=codec, pixels=pixels)
    yield {"clip.gif": _animation("GIF")}
    for kind in ("WEBP", "AVIF"):
        with suppress(Exception):
            yield {f"clip.{kind.lower()}": _animation(kind), "_odd": b""}
    yield _video("clip.mp4", options={"movflags": "frag_keyframe+empty_moov"})


def _video(name: str, **how: Any) -> Files:
    return made(lambda folder: make_video(folder / name, 10, size=(32, 48), gop=4, **how))


# -- weights --------------------------------------------------------------------------------------


def _tensors() -> list[tuple[str, str, tuple[int, ...], Callable[[], np.ndarray]]]:
    arrays = {
        "embeddings.weight": np.arange(24, dtype=np.float32).reshape(6, 4),
        "encoder.bias": np.arange(5, dtype=np.float16),
        "encoder.scale": np.array(1.5),
        "ids": np.arange(6, dtype=np.int64).reshape(1, 6),
        "mask": np.array([True, False]),
    }
    codes = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64", "bool": "BOOL"}
    return [
        (name, codes[array.dtype.name], array.shape, lambda array=array: array)
        for name, array in arrays.items()
    ]


def safetensors() -> Iterator[Files]:
    from weights_convert.checkpoint import write_checkpoint

    yield made(lambda folder: write_checkpoint(folder, _tensors()))
    for case in ("lxmert/answers", "timesformer/joint"):
        path = FIXTURES / "models" / case / "model.safetensors"
        yield {path.name: path.read_bytes()}


def indexes() -> Iterator[Files]:
    from weights_convert.checkpoint import write_checkpoint

    yield made(lambda folder: write_checkpoint(folder, _tensors(), max_shard_bytes=60))
    bodies = {f"pytorch_model-0000{i}-of-00002.bin": _torch_file(i) for i in (1, 2)}
    places = {f"a{i}": name for i, name in enumerate(bodies, 1)}
    index = as_json({"metadata": {"total_size": 48}, "weight_map": places})
    yield {**bodies, "pytorch_model.bin.index.json": index}


def _torch_file(number: int) -> bytes:
    from tests.weights_convert.torch_toys import torch_file

    return torch_file({f"a{number}": np.arange(6, dtype=np.float32).reshape(2, 3)})


def pickles() -> Iterator[Files]:
    from tests.weights_convert.torch_toys import torch_file

    for path in sorted((FIXTURES / "torch_pickle").glob("*.bin")):
        yield {"pytorch_model.bin": path.read_bytes()}
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(3)}
    for old in (False, True):
        yield {"pytorch_model.bin": torch_file(arrays, old=old)}


def tensorflow_weights() -> Iterator[Files]:
    for path in sorted(FIXTURES.glob("lxmert_tf/*/tf_model.h5")):
        yield {path.name: path.read_bytes()}


# -- data -----------------------------------------------------------------------------------------


def _regions() -> list[Any]:
    from tfzoo.data.regions import RegionFeatures

    rng = np.random.default_rng(0)
    found = []
    for name, count in {"one": 4, "two": 4, "three": 2}.items():
        corners = np.sort(rng.uniform(0, 200, (count, 2, 2)), axis=1).reshape(count, 4)
        features = rng.exponential(size=(count, 16)).astype("float32")
        found.append(RegionFeatures(name, 200, 240, corners.astype("float32"), features))
    return found


def region_tables() -> Iterator[Files]:
    from tfzoo.data.regions import open_region_features, write_region_features

    def write(folder: Path) -> None:
        path = folder / "regions.tsv"
        write_region_features(path, _regions())
        os.utime(path, ns=TIMES)
        with open_region_features(path, index=folder / PLACES) as images:
            len(images)  # makes the index

    yield {"regions.tsv": (ASSETS / "lxmert-easy-vqa" / "sample.tsv").read_bytes()}
    yield made(lambda folder: write_region_features(folder / "regions.tsv", _regions()))
    yield made(write)


def region_arrays() -> Iterator[Files]:
    from tfzoo.data.regions import write_region_features

    def write(folder: Path) -> None:
        write_region_features(folder, _regions(), force=True)

    yield made(write)
    boxes, features = _regions()[0].boxes, _regions()[0].features
    np.savez_compressed(
        buffer := io.BytesIO(), image_h=200, image_w=240, bbox=boxes, x=features.astype("float16")
    )
    yield {"one.npz": buffer.getvalue()}


def region_rows() -> Iterator[Files]:
    from tfzoo.data.regions import write_region_features

    yield made(lambda folder: write_region_features(folder / "regions.h5", _regions()))


_SIZES = {"wide.png": (40, 20), "tall.png": (10, 30), "bare.png": (16, 16)}
_COCO = {
    "images": [
        {"id": 10 + n, "file_name": name, "width": width, "height": height}
        for n, (name, (width, height)) in enumerate(_SIZES.items())
    ],
    "annotations": [
        {"image_id": 10, "category_id": 5, "bbox": [10, 5, 20, 10]},
        {"image_id": 10, "category_id": 2, "bbox": [0, 0, 8.5, 4], "iscrowd": 0},
        {"image_id": 11, "category_id": 5, "bbox": [-0.5, 20, 11, 10.5], "iscrowd": 1},
    ],
    "categories": [{"id": 5, "name": "cup"}, {"id": 2, "name": "cat", "supercategory": "none"}],
}


def boxes() -> Iterator[Files]:
    pictures = {n: _encoded(Image.new("RGB", size), "PNG") for n, size in _SIZES.items()}
    kept = {f"_{name}": content for name, content in pictures.items()}  # under names that stay
    entries = [{**entry, "file_name": f"_{entry['file_name']}"} for entry in _COCO["images"]]
    for more in ({}, {SKIP: b""}):
        yield {"boxes.json": as_json(_COCO), **pictures, **more}
        yield {"boxes.json": as_json({**_COCO, "images": entries}), **kept, **more}


def questions() -> Iterator[Files]:
    table = (ASSETS / "lxmert-easy-vqa" / "sample.tsv").read_bytes()
    asked = [
        {"img_id": "sample", "sent": "what color is the circle?", "label": {"yes": 0.3, "no": 1}},
        {"img_id": "sample", "sent": "is there a circle?", "label": "yes", "question_id": 7},
    ]
    for more in ({}, {SKIP: b""}):
        yield {"questions.json": as_json(asked), "_regions.tsv": table, **more}
        yield {"questions.json": as_json(asked), "regions.tsv": table, **more}


_MOMENTS = b"clip 0.05 0.2##it moves left.\nclip 0 30.9##it is still\n\nclip 0.1 0.3 ##it moves\n"


def moments() -> Iterator[Files]:
    film = _video("clip.mp4")["clip.mp4"]
    for more in ({}, {SKIP: b""}):
        yield {"moments.txt": _MOMENTS, "clip.mp4": film, **more}
        yield {"moments.txt": _MOMENTS.replace(b"clip", b"_clip"), "_clip.mp4": film, **more}


# -- models ---------------------------------------------------------------------------------------


def case_names() -> list[str]:
    """One or two cases of each family, whose weights are in the repository."""
    chosen = (
        *("lxmert/answers", "lxmert/model", "owlv2/pairs", "owlv2/detector", "owlv2/owlvit_text"),
        *("perceiver/widths", "perceiver/fourier", "perceiver/bare", "timesformer/divided"),
        *("timesformer/space_only", "tvp/down_add", "xclip/pairs", "xclip/text"),
    )
    return list(chosen)


def models() -> Iterator[Files]:
    for name in case_names():
        files = folder_files(FIXTURES / "models" / name, ("config.json", "model.safetensors"))
        yield {**files, CASE: name.encode()}
