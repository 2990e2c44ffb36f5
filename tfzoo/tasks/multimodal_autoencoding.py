"""Video, sound and label through the latents and back, decoded part by part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from keras import ops
from PIL import Image
from tqdm import tqdm

from tfzoo.io.sampling import FrameChoice
from tfzoo.models.perceiver.heads.multimodal import TFPerceiverForMultimodalAutoencoding
from tfzoo.models.perceiver.image_processor import PerceiverImageProcessor
from tfzoo.preprocessing.image_batch import flatten_images
from tfzoo.tasks.base import Task
from tfzoo.tasks.classification import Ranking
from tfzoo.tasks.inputs import clip_of, is_file
from tfzoo.tasks.scores import finite, probabilities, ranked

__all__ = ["DecodedVideo", "MultimodalAutoencoding", "autoencode_video"]

_CHUNKS = 128  # as in the paper: 6,272 pixels and 15 patches of sound at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedVideo(Ranking):
    """A video after it went through the latents and back; a sequence of its labels.

    Attributes:
        frames: (T, height, width, 3) float32, mostly within 0 to 1.
        audio: (samples,) float32, mostly within -1 to 1.
        scores: (labels,) float32, the probability of each label, which was masked.
    """

    frames: np.ndarray
    audio: np.ndarray
    scores: np.ndarray

    def images(self) -> np.ndarray:
        """The frames as uint8, to be looked at or saved."""
        return np.rint(self.frames.clip(0, 1) * 255).astype(np.uint8)

    def to_dict(self) -> dict[str, Any]:
        """The labels in JSON's terms, and the sizes of the frames and of the sound."""
        return {
            "predictions": [dict(vars(row)) for row in self.predictions],
            "frames": list(self.frames.shape),
            "samples": len(self.audio),
            **({} if self.note is None else {"note": self.note}),
        }

    def draw(self) -> Image.Image:
        from tfzoo.viz import draw_frames

        return self._draw(draw_frames(self.images(), width=640))


@dataclass(frozen=True, eq=False, kw_only=True)
class MultimodalAutoencoding(Task):
    """Encodes videos with their sound, and decodes every pixel, sample and the label.

    An input is a tuple of a video (path, address, bytes, array or list of frames) and the sound of
    just those frames, see `autoencode_video`. Each is decoded by itself, whatever `batch_size`.

    Args:
        num_chunks: In how many parts the outputs are decoded.
        top_k: How many labels are ranked; all if None.

    Example:
        >>> import tfzoo
        >>> config = tfzoo.PerceiverConfig(num_latents=4, d_latents=16, num_labels=5,
        ...     num_self_attends_per_block=1, num_cross_attention_heads=1, num_frames=2,
        ...     output_shape=[1, 2, 8, 8], image_size=8, audio_samples_per_frame=64)
        >>> task = tfzoo.pipeline(model=tfzoo.TFPerceiverForMultimodalAutoencoding(config))
        >>> task(("clip.mp4", np.zeros(128, "int16"))).images().shape
        (2, 8, 8, 3)
    """

    num_chunks: int | None = None
    top_k: int | None = 5

    name: ClassVar[str] = "multimodal-autoencoding"
    only: ClassVar[type | None] = TFPerceiverForMultimodalAutoencoding
    processor_auto: ClassVar[Any] = None
    does: ClassVar[str] = "encodes videos with their sound"
    kind: ClassVar[str] = "sound"

    def read(self, source: Any) -> tuple[Any, Any]:
        if not isinstance(source, tuple) or len(source) != 2:
            raise TypeError(
                f"Expected a tuple of a video and its sound, got a {type(source).__name__}."
            )
        video, audio = source
        if is_file(video):
            video = clip_of(video, FrameChoice(self.model.config.num_frames)).frames
        return video, audio

    def answer(self, items: Sequence[tuple[Any, Any]]) -> list[DecodedVideo]:
        return [
            autoencode_video(
                self.model,
                *item,
                num_chunks=self.num_chunks,
                top_k=self.top_k,
                progress=False,
            )
            for item in items
        ]


def autoencode_video(
    model: TFPerceiverForMultimodalAutoencoding,
    video: Any,
    audio: Any,
    *,
    num_chunks: int | None = None,
    top_k: int | None = 5,
    progress: bool = True,
) -> DecodedVideo:
    """Encode a short video with its sound, and decode every pixel and sample, and its label.

    The encoder runs once. Of the outputs only those of one chunk exist at a time, so that more
    chunks need less memory.

    Args:
        model: A `TFPerceiverForMultimodalAutoencoding`.
        video: T frames: an array (T, height, width, C) or (T, C, height, width) of uint8, or a list
            of paths, Pillow images or arrays. Of each the middle square is resized to the model's
            size.
        audio: The sound of just these frames, one channel: (samples,) or (samples, 1), int16, or
            floats within -1 to 1.
        num_chunks: In how many parts the outputs are decoded. Default: 128, or as many as there
            are patches of sound, if those are fewer.
        top_k: How many labels are ranked; all if None.
        progress: Whether a bar counts the chunks, where stderr is a terminal.

    Returns:
        The frames, the sound, and a probability for each label.

    Raises:
        TypeError: The model is another one, frames that are not images, or no sound.
        ValueError: Another number of frames or samples than the model's, pixels or samples of
            another kind, `num_chunks` out of range, or a model whose outputs are not finite.

    Source: section 4.3 of Jaegle et al. 2022, arXiv:2107.14795; with the label masked, the model
    classifies.

    Example:
        >>> import tfzoo
        >>> config = tfzoo.PerceiverConfig(num_latents=4, d_latents=16, num_labels=5,
        ...     num_self_attends_per_block=1, num_cross_attention_heads=1, num_frames=2,
        ...     output_shape=[1, 2, 8, 8], image_size=8, audio_samples_per_frame=64)
        >>> model = tfzoo.TFPerceiverForMultimodalAutoencoding(config)
        >>> frames = tfzoo.read_video("clip.mp4", num_frames=2).frames
        >>> decoded = tfzoo.autoencode_video(model, frames, np.zeros(128, "int16"))
        >>> decoded.images().shape, decoded.audio.shape, decoded.scores.shape
        ((2, 8, 8, 3), (128,), (5,))
    """
    if not isinstance(model, TFPerceiverForMultimodalAutoencoding):
        raise TypeError(
            f"model: expected a TFPerceiverForMultimodalAutoencoding, got a {type(model).__name__}."
        )
    config, core = model.config, model.perceiver
    inputs = {
        "image": _pixels(video, config),
        "audio": _samples(audio, config),
        "label": np.zeros((1, config.num_labels), "float32"),
    }
    shape = tuple(config.output_shape[1:])
    patches = inputs["audio"].shape[1] // config.samples_per_patch
    chunks = _chunks(num_chunks, math.prod(shape), patches)
    core.check_inputs({"inputs": inputs})
    data = core.preprocess({name: ops.convert_to_tensor(value) for name, value in inputs.items()})
    latents = core.encode(data).last_hidden_state
    # Queries are positions alone: the tokens, the largest of all, need not be kept.
    data = data._replace(tokens=data.tokens[:, :0], without_pos=None)
    image = np.empty((math.prod(shape), 3), "float32")
    sound = np.empty((patches, config.samples_per_patch), "float32")
    with tqdm(total=len(chunks), unit="chunk", disable=None if progress else True) as bar:
        for points in chunks:
            wanted = {name: ops.convert_to_tensor(places) for name, places in points.items()}
            found = {
                name: finite(value)
                for name, value in core.decode(latents, data, wanted).logits.items()
            }
            image[points["image"]] = found["image"][0]
            sound[points["audio"]] = found["audio"].reshape(-1, config.samples_per_patch)
            bar.update()
    scores = probabilities(found["label"][0]).astype("float32")
    return DecodedVideo(
        frames=image.reshape(*shape, 3),
        audio=sound.reshape(-1),
        scores=scores,
        predictions=ranked(scores, config.id2label, top_k),
    )


def _pixels(video: Any, config: Any) -> np.ndarray:
    """(1, T, 3, height, width) float32, 0 to 1."""
    frames = flatten_images(video)
    _, _, height, width = config.output_shape
    if len(frames) != config.num_frames:
        raise ValueError(
            f"video: expected {config.num_frames} frames (num_frames), got {len(frames)}. Choose "
            "them, for instance with tfzoo.read_video(path, num_frames=...)."
        )
    for frame in frames:
        if getattr(frame, "dtype", np.uint8) != np.uint8:
            raise ValueError(f"video: expected pixels as uint8, got {frame.dtype}.")
    size = {"height": height, "width": width}
    processor = PerceiverImageProcessor(size=size, crop_size=size, do_normalize=False)
    return processor(frames, return_tensors="np").pixel_values[None]


def _samples(audio: Any, config: Any) -> np.ndarray:
    """(1, samples, 1) float32, -1 to 1."""
    if audio is None:
        raise TypeError("audio: expected the sound of the frames, got None; silence is zeros.")
    samples = np.asarray(audio)
    wanted = config.num_frames * config.audio_samples_per_frame
    if samples.ndim == 2 and samples.shape[1] == 1:
        samples = samples[:, 0]
    if samples.shape != (wanted,):
        raise ValueError(
            f"audio: expected {wanted} samples of one channel (num_frames x "
            f"audio_samples_per_frame), got shape {samples.shape}. Cut, or mix channels first."
        )
    if samples.dtype == np.int16:
        samples = samples.astype("float32") / np.float32(2**15)
    if samples.dtype.kind != "f" or not np.abs(samples).max() <= 1:
        raise ValueError(
            f"audio: expected int16, or floats within -1 to 1, got {samples.dtype} of "
            f"{samples.min()} to {samples.max()}."
        )
    return samples.astype("float32")[None, :, None]


def _chunks(num_chunks: int | None, pixels: int, patches: int) -> list[dict[str, np.ndarray]]:
    """The points of each chunk: all pixels and patches, each once, in equal shares."""
    most = min(pixels, patches)
    count = min(_CHUNKS, most) if num_chunks is None else num_chunks
    if not isinstance(count, int) or not 1 <= count <= most:
        raise ValueError(
            f"num_chunks: expected 1 to {most}, the number of patches of sound, got {num_chunks!r}."
        )
    parts = [np.array_split(np.arange(n, dtype="int32"), count) for n in (pixels, patches)]
    return [{"image": image, "audio": audio} for image, audio in zip(*parts, strict=True)]
