"""A server's work for a while: a thousand requests from several threads, bad ones in between."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.export.test_c_api import answers_equal
from tests.support.c_api import RequestError, Session
from tests.support.endpoints import as_bytes, read
from tests.support.paths import FIXTURES

pytestmark = pytest.mark.slow

PHOTOS = sorted((FIXTURES / "photos").glob("*.*g"))
HEADS = ("perceiver_conv", "perceiver_masked_lm", "owlv2", "lxmert", "timesformer")
THREADS, REQUESTS = 4, 400
SECONDS, GROWTH = 100, 16e6  # most that all of them may take, and bytes that memory may grow


@dataclass(frozen=True)
class Request:
    """A request and its answer, or the words with which it is to be refused."""

    head: str
    signature: str
    inputs: dict[str, Any]
    answer: dict[str, np.ndarray] | None = None
    refusal: str = ""


def huge_png() -> bytes:
    """A valid PNG of a few bytes that declares 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    content = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + content + chunk(b"IEND", b"")


def objects(batch: int, count: int) -> dict[str, np.ndarray]:
    """A request of LXMERT."""
    rng = np.random.default_rng(count)
    ids = rng.integers(1, 1000, (batch, 4 + count))
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "visual_feats": rng.random((batch, count, 2048), "float32"),
        "visual_pos": rng.random((batch, count, 4), "float32"),
        "visual_attention_mask": np.ones((batch, count), "int64"),
    }


def good_requests() -> Iterator[Request]:
    """Photos, clips, texts and questions of several sizes, alone and in batches."""
    photos = read(*PHOTOS)
    for part in (photos[:1], photos[1:4], photos[3:]):
        yield Request("perceiver_conv", "classify_image", {"image": part})
    for part in (photos[:1], photos[4:6]):
        yield Request("owlv2", "detect_image", {"image": part})
    frames = np.resize(photos, (1, 8))
    yield Request("timesformer", "classify_frames", {"frames": frames})
    for texts in (["m[MASK]ssing"], ["[MASK]" * 5, b"\xff [MASK]", "a [MASK] of 日本"]):
        yield Request("perceiver_masked_lm", "fill_mask", {"text": as_bytes(*texts)})
    for batch, count in ((1, 36), (3, 5)):
        yield Request("lxmert", "answer", objects(batch, count))


def bad_requests() -> Iterator[Request]:
    """What a server has to refuse, by the words that tell why."""
    photo = PHOTOS[0].read_bytes()
    for head, signature in (("perceiver_conv", "classify_image"), ("owlv2", "detect_image")):
        for image, words in (
            (as_bytes(photo, b"\x00\x01"), "JPEG or PNG"),
            (as_bytes(photo[: len(photo) // 2]), ""),
            (as_bytes(huge_png()), "60000"),
            (as_bytes(), "empty batch"),
            (np.zeros((1, 8, 8, 3), "float32"), "string"),
            (as_bytes(photo)[None], ""),
        ):
            yield Request(head, signature, {"image": image}, refusal=words or ".")
    frames = read(*PHOTOS[:1])[None]
    yield Request("timesformer", "classify_frames", {"frames": frames}, refusal="8 frames")
    for text, words in ((as_bytes("none"), "MASK"), (as_bytes(), "at least one"), ([3], "string")):
        text = np.asarray(text)
        yield Request("perceiver_masked_lm", "fill_mask", {"text": text}, refusal=words)
    inputs = objects(2, 3)
    yield Request(
        "lxmert", "answer", {**inputs, "visual_pos": inputs["visual_pos"][0]}, refusal="."
    )
    fewer = {**inputs, "visual_feats": inputs["visual_feats"][:, :2]}
    yield Request("lxmert", "answer", fewer, refusal=".")


def answered_by_python(request: Request, model: Any) -> Request:
    """The request with the answer of Python's loader to it."""
    function = model.signatures[request.signature]
    tensors = {name: tf.constant(value) for name, value in request.inputs.items()}
    answer = {name: value.numpy() for name, value in function(**tensors).items()}
    return Request(request.head, request.signature, request.inputs, answer)


def memory() -> int:
    """Bytes that this process holds."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in x)
    return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def sessions(saved: Callable[[str], Path]) -> Iterator[dict[str, Session]]:
    made = {head: Session(saved(head)) for head in HEADS}
    yield made
    for session in made.values():
        session.close()


def test_many_requests_at_once(saved: Callable[[str], Path], sessions: dict[str, Session]) -> None:
    models = {head: tf.saved_model.load(str(saved(head))) for head in HEADS}
    good = [answered_by_python(request, models[request.head]) for request in good_requests()]
    bad = list(bad_requests())

    def send(number: int) -> None:
        request = bad[number // 8 % len(bad)] if number % 8 == 0 else good[number % len(good)]
        run = sessions[request.head].run
        if request.answer is None:
            with pytest.raises(RequestError, match=request.refusal):
                run(request.signature, **request.inputs)
        else:
            answers_equal(run(request.signature, **request.inputs), request.answer, 1e-4)

    start, used = time.monotonic(), []
    with ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, REQUESTS, REQUESTS // 4):
            list(pool.map(send, range(first, first + REQUESTS // 4)))  # raises what a thread did
            used.append(memory())
    assert time.monotonic() - start < SECONDS
    assert used[-1] - used[1] < GROWTH, f"memory grew: {used}"
