"""Files to requests: frames of a video, the bytes of an image, the words of a query."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from apache_beam.io.filesystems import FileSystems
from PIL import Image

__all__ = ["KNOTS", "Reading", "local_file", "reading_for"]

# Signatures that take files, in order of preference.
_KINDS = ("classify_frames", "detect_image", "ground", "classify_image")
_VIDEOS = ("classify_frames", "ground")

#: A key of what a request is about that is not a part of its answer.
KNOTS = "knots"


@dataclass(frozen=True)
class Reading:
    """How files become requests of a signature, and its answers rows of a result.

    Args:
        signature: `classify_frames`, `classify_image`, `detect_image` or `ground`.
        num_frames: Number of frames to choose from a video.
        sampling: How, see `tfzoo.io.choose_indices`.
        frame_sample_rate: Distance of the frames, for "centre".
        queries: Texts and their inputs, for `ground`: a request for each.

    Example:
        >>> reading = Reading("classify_frames", num_frames=4)
        >>> [(about, request)] = reading.requests("clip.mp4")
        >>> about["file"], len(request["frames"])
        ('clip.mp4', 4)
    """

    signature: str
    num_frames: int = 0
    sampling: str = "uniform"
    frame_sample_rate: int = 1
    queries: Sequence[tuple[str, dict[str, np.ndarray]]] = field(default_factory=tuple)

    def requests(
        self, path: str, name: str | None = None
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Make the requests of a file.

        Args:
            path: The file, on this machine.
            name: Its name in results; `path` where None.

        Yields:
            What the request is about, and the request.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is not a video or an image, or too short.
        """
        about = {"file": path if name is None else name}
        if self.signature not in _VIDEOS:
            yield about, {"image": _image(path)}
            return
        from tfzoo.io import read_video

        clip = read_video(
            path,
            num_frames=self.num_frames,
            sampling=self.sampling,
            frame_sample_rate=self.frame_sample_rate,
        )
        request = {"frames": [_png(frame) for frame in clip.frames]}
        if self.signature == "classify_frames":
            yield {**about, "frames": clip.indices.tolist()}, request
            return
        if clip.duration <= 0:
            raise ValueError("The file does not say how long the video is.")
        for text, inputs in self.queries:
            named = {**about, "query": text, "duration": clip.duration}
            # The answer is a part of the frames; the graph takes their rate for constant.
            knots = [values.tolist() for values in clip.knots()]
            duration = np.float32(clip.duration)
            yield {**named, KNOTS: knots}, {**request, **inputs, "duration": duration}

    def row(self, about: dict[str, Any], answer: dict[str, np.ndarray]) -> dict[str, Any]:
        """The answer to a request as a line of JSON holds it.

        Args:
            about: What the request is about.
            answer: The signature's outputs for it.
        """
        values = {name: _plain(value) for name, value in answer.items()}
        if self.signature == "ground":
            named = {name: value for name, value in about.items() if name != KNOTS}
            parts = np.array(values["seconds"]) / about["duration"]
            start, end = np.interp(parts, *about[KNOTS]).tolist()
            return {**named, "start": start, "end": end}
        if self.signature == "detect_image":
            return {**about, "detections": _detections(values)}
        ranking = zip(values["labels"], values["scores"], strict=True)
        return {**about, "predictions": [{"label": n, "score": s} for n, s in ranking]}


def reading_for(
    signatures: Iterable[str],
    *,
    num_frames: int | None = None,
    sampling: str | None = None,
    frame_sample_rate: int = 1,
    queries: Sequence[str] | None = None,
    tokenizer: Any = None,
) -> Reading:
    """How files are to be read for an exported model.

    Args:
        signatures: The model's signatures.
        num_frames: Number of frames that the model takes.
        sampling: How they are chosen; where None, "spread" for grounding, else "uniform".
        frame_sample_rate: Distance of the frames, for "centre".
        queries: What to look for in videos.
        tokenizer: The tokenizer of the queries.

    Raises:
        ValueError: The model has no signature that takes files, or options are missing or do not
            fit it.

    Example:
        >>> reading_for(["serving_default", "classify_frames"], num_frames=8).signature
        'classify_frames'
    """
    signatures = sorted(signatures)
    signature = next((name for name in _KINDS if name in signatures), None)
    if signature is None:
        raise ValueError(
            f"The model has the signatures {', '.join(signatures)}; expected one of "
            f"{', '.join(_KINDS)}: export it with tfzoo.export_serving."
        )
    if signature not in _VIDEOS:
        for option, value in {"num_frames": num_frames, "queries": queries}.items():
            if value is not None:
                raise ValueError(f"{option} is for models of videos, and this one takes images.")
        return Reading(signature)
    if num_frames is None:
        raise ValueError("The model takes frames of videos: say how many with num_frames.")
    grounds = signature == "ground"
    if grounds != (queries is not None) or (grounds and tokenizer is None):
        raise ValueError(
            "The model finds what queries name: give queries and the tokenizer."
            if grounds
            else "The model classifies: leave queries out."
        )
    encoded = _encoded(queries, tokenizer) if grounds else ()
    default = "spread" if grounds else "uniform"
    return Reading(signature, num_frames, sampling or default, frame_sample_rate, encoded)


@contextlib.contextmanager
def local_file(path: str) -> Iterator[str]:
    """A path on this machine: the file's own, or that of a temporary copy.

    Args:
        path: Of any file system that Beam knows.

    Example:
        >>> with local_file("clip.mp4") as path:
        ...     print(path)
        clip.mp4
    """
    if FileSystems.get_scheme(path) is None:
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=Path(path).suffix) as copy:
        with FileSystems.open(path) as source:
            shutil.copyfileobj(source, copy)
        copy.flush()
        yield copy.name


def _encoded(queries: Sequence[str], tokenizer: Any) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Each query with its ids, padded to one length."""
    if not queries or not all(query.strip() for query in queries):
        raise ValueError(f"queries: expected texts that are not empty, got {list(queries)}.")
    tokens = tokenizer(list(queries), padding=True, return_token_type_ids=False)
    names = ("input_ids", "attention_mask")
    return [
        (query, {name: np.array(tokens[name][number], "int64") for name in names})
        for number, query in enumerate(queries)
    ]


def _png(frame: np.ndarray) -> bytes:
    """A frame (height, width, 3) as PNG; hardly compressed, which would take longer."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _image(path: str) -> bytes:
    """The bytes of a JPEG or PNG; any other image as PNG."""
    content = Path(path).read_bytes()
    if content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        return content
    from tfzoo.io import read_image

    return _png(read_image(content))


def _plain(value: Any) -> Any:
    """An array of numbers or bytes as lists, numbers and texts."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _detections(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Detections without padding; boxes are ymin, xmin, ymax, xmax in pixels."""
    count = int(values["num_detections"])
    columns = (values[f"detection_{name}"][:count] for name in ("class_names", "scores", "boxes"))
    return [
        {"label": label, "score": score, "box": box}
        for label, score, box in zip(*columns, strict=True)
    ]
