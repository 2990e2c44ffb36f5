"""Decoding, resizing and normalising inside a graph, against the host's: real photos, all forms."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfzoo
from tests.support.endpoints import as_bytes, read
from tests.support.pictures import (
    PHOTOS,
    broken_files,
    chunk,
    encoded,
    png,
    sound_files,
    turned,
    with_xmp,
)
from tfzoo.export import ServingError
from tfzoo.export.graph import resize as graph_resize
from tfzoo.export.graph.images import decode_image
from tfzoo.export.graph.preprocessing import GraphPreprocessing, graph_preprocessing
from tfzoo.export.graph.resize import FILTERS, antialiased_resize, resize
from tfzoo.io import ImageError, read_image
from tfzoo.preprocessing.resize import antialiased_resize as host_resize

SOUND, BROKEN = sound_files(), broken_files()
TVP = {  # as in the published checkpoints
    "do_center_crop": False,
    "do_rescale": False,
    "image_mean": [128.0, 128.0, 128.0],
    "image_std": [1.0, 2.0, 3.0],
}
SMALL = {"height": 96, "width": 80}
PROCESSORS: dict[str, Callable[[], Any]] = {
    "videomae": tfzoo.VideoMAEImageProcessor,
    "videomae_enlarged": lambda: tfzoo.VideoMAEImageProcessor(size=400, crop_size=300, resample=3),
    "videomae_border": lambda: tfzoo.VideoMAEImageProcessor(size=50, crop_size=(61, 60)),
    "videomae_size": lambda: tfzoo.VideoMAEImageProcessor(
        size=SMALL, do_center_crop=False, resample=1, do_normalize=False
    ),
    "videomae_crop_only": lambda: tfzoo.VideoMAEImageProcessor(do_resize=False),
    "owlv2": lambda: tfzoo.Owlv2ImageProcessor(size=SMALL),
    "owlv2_enlarged": lambda: tfzoo.Owlv2ImageProcessor(size=400, pad_value=0.0),
    "owlv2_distorted": lambda: tfzoo.Owlv2ImageProcessor(size=120, do_pad=False),
    "owlvit": tfzoo.OwlViTImageProcessor,
    "owlvit_crop": lambda: tfzoo.OwlViTImageProcessor(size=120, do_center_crop=True, crop_size=100),
    "perceiver": tfzoo.PerceiverImageProcessor,
    "perceiver_size": lambda: tfzoo.PerceiverImageProcessor(size=SMALL, crop_size=90),
    "tvp": lambda: tfzoo.TvpImageProcessor(**TVP),
    "tvp_all": lambda: tfzoo.TvpImageProcessor(
        size={"shortest_edge": 70},
        crop_size=64,
        pad_size={"height": 70, "width": 66},
        constant_values=((0, 0.5), (0, 0.25)),
    ),
}
# The largest difference of `pixel_values`: a division by a deviation may become a product, which
# moves the last bit; OWLv2's resize is a sum of floats in another order.
BOUNDS = {"owlv2": 3e-6}


@cache
def graph(name: str) -> tuple[GraphPreprocessing, Callable]:
    """A processor in a graph that takes any batch."""
    prepare = graph_preprocessing(PROCESSORS[name]())
    return prepare, tf.function(
        prepare.images, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
    )


@pytest.fixture(scope="module")
def decode() -> Callable[[bytes], np.ndarray]:
    function = tf.function(
        decode_image, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
    )
    return lambda file: function(tf.constant(file)).numpy()


# ---- decoding
@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_photos_are_decoded_to_the_hosts_bits(path: Any, decode: Callable) -> None:
    np.testing.assert_array_equal(decode(path.read_bytes()), read_image(path))


@pytest.mark.parametrize("name", SOUND)
def test_every_form_is_decoded_to_the_hosts_bits(name: str, decode: Callable) -> None:
    np.testing.assert_array_equal(decode(SOUND[name]), read_image(SOUND[name]))


def test_four_inks_are_decoded_to_the_hosts_last_bit(decode: Callable) -> None:
    file = encoded(Image.open(PHOTOS[0]).convert("CMYK"), "JPEG")
    difference = decode(file).astype(int) - read_image(file)
    assert np.abs(difference).max() <= 1


def test_orientations_differ(decode: Callable) -> None:
    """Else the files of this test would say nothing."""
    for kind in ("JPEG", "PNG"):
        images = [decode(turned(kind, i)) for i in range(1, 9)]
        shapes = [image.shape for image in images]
        assert shapes == [(129, 77, 3)] * 4 + [(77, 129, 3)] * 4
        assert len({image.tobytes() for image in images}) == 8


def exif(order: str, kind: int, value: int, entries: int = 1, offset: int = 8) -> bytes:
    """EXIF data whose one entry is an orientation."""
    mark = b"II" if order == "<" else b"MM"
    entry = struct.pack(f"{order}HHIHH", 0x0112, kind, 1, value, 0)
    head = mark + struct.pack(f"{order}HI", 42, offset)
    return head + struct.pack(f"{order}H", entries) + entry + bytes(4)


@pytest.mark.parametrize(
    ("data", "is_turned"),
    [
        (exif("<", 3, 6), True),
        (exif(">", 3, 6), True),
        (exif("<", 3, 0), False),
        (exif(">", 3, 9), False),
        (exif("<", 3, 6, entries=0), False),
        (exif("<", 3, 6, entries=65535), True),
        (exif("<", 3, 6, offset=2**31), False),
        (exif("<", 3, 6, offset=2**32 - 1), False),
        (exif(">", 3, 6, offset=5000), False),
        (b"II", False),
        (b"", False),
    ],
)
def test_strange_exif_data(data: bytes, is_turned: bool, decode: Callable) -> None:
    photo = encoded(Image.open(PHOTOS[0]), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(data) + 8) + b"Exif\0\0" + data
    upright = decode(photo)
    for file in (photo[:2] + segment + photo[2:], photo[:2] + b"\xff\xff" + segment + photo[2:]):
        expected = np.rot90(upright, 3) if is_turned else upright
        np.testing.assert_array_equal(decode(file), expected)
    rows = b"\0\1\2\3\4\5\6"
    file = png((2, 1, 8, 2), rows, before=chunk(b"eXIf", data))
    assert decode(file).shape == ((2, 1, 3) if is_turned else (1, 2, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_orientation_in_xmp_alone_is_followed(
    kind: str, orientation: int, decode: Callable
) -> None:
    file = with_xmp(Image.open(PHOTOS[0]), kind, orientation)
    image, plain = decode(file), decode(encoded(Image.open(PHOTOS[0]), kind))
    np.testing.assert_array_equal(image, read_image(file))
    assert np.array_equal(image, plain) is (orientation == 1)


def rows_of_two(**parts: bytes) -> bytes:
    """A PNG of two pixels side by side."""
    return png((2, 1, 8, 2), b"\0\1\2\3\4\5\6", **parts)


def xmp(text: bytes) -> bytes:
    """A text chunk of a PNG."""
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text)


TURNED = b'\xff\n<a tiff:Orientation="6"/> tiff:Orientation="1"'
STRANGE = {
    "exif without orientation, then xmp": (exif("<", 3, 6, entries=0), TURNED, True),
    "exif of an impossible orientation": (exif("<", 3, 9), TURNED, False),
    "exif of an orientation that is unknown": (exif("<", 3, 0), TURNED, False),
    "broken exif": (b"no exif data", TURNED, False),
    "an element": (None, b"<tiff:Orientation>8</tiff:Orientation>", True),
    "another attribute": (None, b'tiff:Orientation = "6"', False),
    "a digit alone": (None, b"6", False),
    "nothing": (None, b"", False),
    "a nine": (None, b'tiff:Orientation="9"', False),
    "a number of 32 bits": (exif(">", 4, 0)[:-6] + b"\0\6" + bytes(4), b"", True),
    "a name in front": (b"Exif\0\0" + exif("<", 3, 6), b"", True),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_strange_metadata_say_the_same_as_on_the_host(name: str, decode: Callable) -> None:
    data, text, is_turned = STRANGE[name]
    parts = (b"" if data is None else chunk(b"eXIf", data)) + xmp(text)
    files = [rows_of_two(before=parts)]
    if name != "broken exif":  # which is not found behind the pixels
        files.append(rows_of_two(after=parts))
    for file in files:
        assert decode(file).shape == ((2, 1, 3) if is_turned else (1, 2, 3))
        np.testing.assert_array_equal(decode(file), read_image(file))


def test_many_empty_parts_end_the_search(decode: Callable) -> None:
    empty, turns = chunk(b"tEXt", b"a\0b") * 5000, chunk(b"eXIf", exif("<", 3, 6))
    assert decode(rows_of_two(before=empty + turns + 4 * empty)).shape == (1, 2, 3)
    assert decode(rows_of_two(before=empty, after=turns)).shape == (2, 1, 3)


def spoilt(name: bytes) -> bytes:
    """A chunk whose checksum is wrong."""
    return chunk(name, b"Title\0hello")[:-1] + b"\0"


def test_damaged_files_that_are_refused_by_one_of_the_two(decode: Callable) -> None:
    """As docs/serving.md says."""
    sound = rows_of_two()
    for file in [rows_of_two(before=spoilt(name)) for name in (b"tEXt", b"eXIf", b"tRNS")]:
        np.testing.assert_array_equal(decode(file), decode(sound))
        with pytest.raises(ImageError):
            read_image(file)
    place = sound.index(b"IEND") - 4
    for file in (sound[:place], sound[:-1], sound[: place - 1] + b"\0" + sound[place:]):
        np.testing.assert_array_equal(read_image(file), decode(sound))
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(file)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_in_words(name: str, decode: Callable) -> None:
    file, words = BROKEN[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        decode(file)


def test_a_limit_of_pixels_is_kept() -> None:
    file = tf.constant(SOUND["rgb.png"])
    assert decode_image(file, 129 * 77).shape == (129, 77, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)up to 9932 pixels.*129, 77"):
        decode_image(file, 129 * 77 - 1)


# ---- resizing
@pytest.mark.parametrize("resample", FILTERS)
def test_resizing_has_pillows_bits(resample: int) -> None:
    function = tf.function(
        lambda image, size: resize(image, size, resample),
        input_signature=[
            tf.TensorSpec([None, None, 3], tf.uint8),
            tf.TensorSpec([2], tf.int32),
        ],
    )
    rng = np.random.default_rng(1)
    images = [np.asarray(Image.open(path).convert("RGB")) for path in PHOTOS[:4]]
    images.append(rng.integers(0, 2, (37, 61, 3), dtype=np.uint8) * 255)
    sizes = [(224, 224), (96, 96), (1, 1), (7, 500), (300, 3), *rng.integers(2, 260, (4, 2))]
    for image in images:
        whole, half = np.array(image.shape[:2]), np.array(image.shape[:2]) // 2
        for size in (*sizes, whole, half, half // 3):
            height, width = map(int, size)
            expected = Image.fromarray(image).resize((width, height), resample)
            got = function(image, tf.constant([height, width])).numpy()
            np.testing.assert_array_equal(got, np.asarray(expected), err_msg=f"{size}")


def test_older_pillows_resize_across_first(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(2).integers(0, 256, (90, 20, 3), dtype=np.uint8)
    expected = Image.fromarray(image).resize((25, 90), 3).resize((25, 10), 3)
    results = []
    for down_first in (False, True):
        monkeypatch.setattr(graph_resize, "_DOWN_FIRST", down_first)
        results.append(resize(tf.constant(image), tf.constant([10, 25]), 3).numpy())
    np.testing.assert_array_equal(results[0], expected)
    assert (results[0] != results[1]).any()


def test_antialiased_resizing_is_the_hosts() -> None:
    image = read_image(PHOTOS[1])
    height, width = image.shape[:2]
    for canvas, size in (
        ((height, width), (50, 61)),
        ((400, 330), (33, 700)),
        ((400, 400), (1, 1)),
    ):
        padded = np.full((*canvas, 3), 0.5, np.float32)
        padded[:height, :width] = image / np.float32(255)
        run = tf.function(partial(antialiased_resize, size=size, fill=127.5))
        got = run(tf.constant(image), tf.constant(canvas)) / 255
        np.testing.assert_allclose(got, host_resize(padded, size), rtol=0, atol=2e-6)


# ---- whole processors
def difference(name: str, files: np.ndarray) -> np.ndarray:
    """How much `pixel_values` in the graph differ from the host's; of values above 1, in parts."""
    processor, (prepare, run) = PROCESSORS[name](), graph(name)
    images = [read_image(file) for file in files]
    pixels, sizes = (values.numpy() for values in run(tf.constant(files)))
    assert sizes.tolist() == [list(image.shape[:2]) for image in images]
    # one after the other: a list would be one video to some
    hosts = [processor(image, return_tensors="np").pixel_values for image in images]
    expected = np.concatenate([host.reshape(-1, *host.shape[-3:]) for host in hosts])
    assert pixels.shape == expected.shape == (len(files), 3, *prepare.size)
    assert pixels.dtype == expected.dtype == np.float32
    return np.abs(pixels - expected) / np.maximum(np.abs(expected), 1)


OFTEN = ("videomae", "videomae_border", "owlv2", "owlvit_crop", "perceiver", "tvp_all")


@pytest.mark.parametrize(
    "name",
    [*OFTEN, *(pytest.param(n, marks=pytest.mark.slow) for n in PROCESSORS if n not in OFTEN)],
)
def test_photos_come_out_as_on_the_host(
    name: str, record_property: Callable[[str, Any], None]
) -> None:
    found = difference(name, read(*PHOTOS[:5]))
    record_property("largest", float(found.max()))
    record_property("mean", float(found.mean()))
    assert found.max() <= BOUNDS.get(name.partition("_")[0], 2.5e-7)
    assert found.mean() <= 2e-7


@pytest.mark.parametrize("name", ["videomae", "owlv2", "owlvit_crop", "perceiver", "tvp_all"])
def test_files_of_every_form_in_one_batch(name: str) -> None:
    files = [file for kind, file in SOUND.items() if "one_pixel" not in kind]
    assert difference(name, as_bytes(*files)).max() <= 1e-5


def test_videos_are_batches_of_frames() -> None:
    prepare, run = graph("videomae")
    frames = read(*PHOTOS[:6]).reshape(2, 3)
    videos = prepare.videos(tf.constant(frames), 3)
    np.testing.assert_array_equal(videos[1, 2], run(tf.constant(frames.ravel()))[0][5])
    with pytest.raises(tf.errors.InvalidArgumentError, match="(?s)Expected 4 frames.*3"):
        prepare.videos(tf.constant(frames), 4)


def test_a_bad_image_fails_its_request_alone() -> None:
    _, run = graph("perceiver_size")
    good = tf.constant(read(*PHOTOS[:2]))
    first = run(good)[0].numpy()
    for file, words in BROKEN.values():
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            run(tf.constant(as_bytes(PHOTOS[0].read_bytes(), file)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one image"):
        run(tf.constant(as_bytes()))
    np.testing.assert_array_equal(run(good)[0], first)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("tvp_all", (1, 300), "at most 70 x 66 pixels"),
        ("tvp", (1, 1000), "resized to nothing"),
        ("perceiver_size", (1, 40), "cut to nothing"),
    ],
)
def test_images_that_do_not_fit(name: str, size: tuple[int, int], words: str) -> None:
    file = encoded(Image.new("RGB", size))
    if name == "tvp_all":  # without its crop
        processor = PROCESSORS[name]()
        processor.do_center_crop = False
        run = graph_preprocessing(processor).images
    else:
        run = graph(name)[1]
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        run(tf.constant([file]))


@pytest.mark.parametrize("name", ["videomae", "owlv2", "owlvit", "tvp_edge"])
def test_thin_images_are_refused_as_on_the_host(name: str) -> None:
    size = (1, 65535)
    make = {"tvp_edge": lambda: tfzoo.TvpImageProcessor(size={"shortest_edge": 70})} | PROCESSORS
    processor = make[name]()
    run = tf.function(
        graph_preprocessing(processor).images, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    file = encoded(Image.new("L", size))
    if name == "owlvit":  # of a fixed size, which needs no more than the image
        assert run(tf.constant([file]))[0].shape == (1, 3, 768, 768)
        return
    words = "pixels once it is (resized|padded)"
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        run(tf.constant([file]))
    with pytest.raises(ValueError, match=words):
        processor(read_image(file), return_tensors="np")


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (object(), "do; got a processor of class object"),
        (tfzoo.PerceiverTokenizer(), "got a processor of class PerceiverTokenizer"),
        (tfzoo.VideoMAEImageProcessor(resample=0), "filters 1, 2, 3 .*resample=0"),
        (tfzoo.VideoMAEImageProcessor(do_center_crop=False), "depends on the image"),
        (tfzoo.VideoMAEImageProcessor(image_std=[1, 0, 1]), "other than 0"),
        (tfzoo.VideoMAEImageProcessor(image_std=1e-40), "other than 0"),
        (tfzoo.VideoMAEImageProcessor(image_mean=[0.5, 0.5]), "one number or 3"),
        (tfzoo.Owlv2ImageProcessor(do_resize=False), "depends on the image"),
        (tfzoo.Owlv2ImageProcessor(do_rescale=False), "must be rescaled"),
        (tfzoo.PerceiverImageProcessor(do_resize=False), "depends on the image"),
        (tfzoo.TvpImageProcessor(pad_mode="reflect"), "pads with constant values"),
        (tfzoo.TvpImageProcessor(do_pad=False, do_center_crop=False), "depends on the image"),
    ],
)
def test_settings_that_no_graph_can_express(processor: Any, words: str) -> None:
    with pytest.raises(ServingError, match=words):
        graph_preprocessing(processor)
