"""What counts as videos: paths, arrays and lists, as one list of frames for each video."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from tfzoo.core.files import read_json
from tfzoo.hub import HubError, HubOptions, resolve
from tfzoo.io.image_reader import to_rgb
from tfzoo.io.sampling import FrameChoice
from tfzoo.preprocessing import image as im
from tfzoo.preprocessing.image import as_array, is_image
from tfzoo.preprocessing.processor import BatchFeature

__all__ = ["ReadsVideos", "make_batched_videos", "resized_frames"]

_ACCEPTED = (
    "a path of a video, an image, an array of shape (T, height, width, C) or "
    "(B, T, height, width, C) (channels first also goes), a list of frames, or a list of videos"
)

_CONFIG_FILE = "config.json"


class ReadsVideos:
    """What the video processors share: which frames of a file they read.

    One that is loaded from a checkpoint chooses as the checkpoint's `config.json` says.

    Attributes:
        default_choice: What is done where nothing says it.
        least_frames: The least number of frames that a config stands for.
        gives_lists: Whether, without `return_tensors`, videos are lists of equally many frames;
            otherwise each is an array.
    """

    default_choice: ClassVar[FrameChoice] = FrameChoice()
    least_frames: ClassVar[int] = 1
    gives_lists: ClassVar[bool] = True

    # A slot, since attributes are written to the processor's file.
    __slots__ = ("_choice",)

    @property
    def frame_choice(self) -> FrameChoice:
        """Which frames of a file are read where a call does not say it."""
        return getattr(self, "_choice", self.default_choice)

    @classmethod
    def choice_of(cls, config: Mapping[str, Any]) -> FrameChoice:
        """Which frames a checkpoint takes, by the content of its `config.json`."""
        choice = cls.default_choice.following(config)
        least = choice.num_frames and max(choice.num_frames, cls.least_frames)
        return choice.with_given(num_frames=least)

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """As `BaseImageProcessor.from_pretrained`; `config.json` beside the file says the frames.

        Args:
            name_or_path: A folder, a file in it, or a hub name.
            **kwargs: Where to look, and fields that win over the file's.

        Raises:
            HubError: The processor's file cannot be found.
            ValueError: A file is not JSON, or is meant for another class.
        """
        processor = super().from_pretrained(name_or_path, **kwargs)
        options, _ = HubOptions.split(kwargs)
        try:
            folder = resolve(name_or_path, _CONFIG_FILE, options)
        except HubError:  # a processor alone
            return processor
        processor._choice = cls.choice_of(read_json(folder / _CONFIG_FILE))
        return processor

    def preprocess(
        self,
        videos: Any,
        settings: SimpleNamespace,
        return_tensors: str | None = None,
        data_format: str | None = im.CHANNELS_FIRST,
        input_data_format: str | None = None,
        *,
        num_frames: int | None = None,
        sampling: str | None = None,
        frame_sample_rate: int | None = None,
        rng: Any = None,
    ) -> BatchFeature:
        """Prepare one video or a batch.

        Args:
            videos: Paths, images, arrays or lists of them, see `make_batched_videos`. Values of
                0..255, or floats of 0..1 with `do_rescale=False`.
            settings: Fields for this call; None takes the processor's own value.
            return_tensors: "np" for arrays, "tf" for tensors, None for lists, see the class.
            data_format: Layout of the result, "channels_first" or "channels_last"; None keeps the
                input's.
            input_data_format: Layout of the frames; default: inferred, and then grey frames and
                frames with transparency become RGB. Where it is given, all channels are kept.
            num_frames: For paths: how many frames to read. As the next two, as the configuration
                of the checkpoint says that the processor was loaded from.
            sampling: For paths: how to choose them, see `tfzoo.io.choose_indices`; as in
                `default_choice` where nothing says it.
            frame_sample_rate: For paths: the distance between frames.
            rng: For paths: the source of random clips.

        Returns:
            `pixel_values` (B, T, C, height, width), float32 if rescaled or normalised.

        Raises:
            TypeError: Something that is not a video.
            ValueError: Shapes, values, sizes or lengths that do not fit; the message says which.
        """
        im.check_formats(data_format=data_format, input_data_format=input_data_format)
        batch = make_batched_videos(
            videos,
            num_frames=num_frames,
            sampling=sampling,
            frame_sample_rate=frame_sample_rate,
            rng=rng,
            equal_lengths=self.gives_lists or return_tensors is not None,
            default=self.frame_choice,
        )
        pixels: list[Any] = []
        for frames in batch:
            layout = data_format or input_data_format or im.layout_of(frames[0])
            frames = resized_frames(frames, settings, input_data_format)
            pixels.append(self.video_pixels(frames, settings, layout))
        if return_tensors is None:
            lists = [list(video) for video in pixels] if self.gives_lists else pixels
            return BatchFeature({"pixel_values": lists})
        if len(pixels) == 1 and isinstance(pixels[0], np.ndarray):
            return BatchFeature({"pixel_values": pixels[0][None]}, return_tensors)  # no copy
        return BatchFeature({"pixel_values": pixels}, return_tensors)

    @abc.abstractmethod
    def video_pixels(
        self, frames: list[np.ndarray], settings: SimpleNamespace, layout: str
    ) -> np.ndarray | list[np.ndarray]:
        """The resized frames of one video as the model takes them, in the layout asked for.

        Frames whose sizes differ may be given as a list.
        """


def make_batched_videos(
    videos: Any,
    *,
    num_frames: int | None = None,
    sampling: str | None = None,
    frame_sample_rate: int | None = None,
    rng: Any = None,
    equal_lengths: bool = True,
    default: FrameChoice = FrameChoice(),  # noqa: B008 - it is frozen
) -> list[list[Any]]:
    """Bring `videos` to a list of videos, each a list of frames; pixels are left alone.

    Args:
        videos: A path of a video file; one image (a video of one frame); an array of 4 axes (one
            video) or 5 (a batch); a list of images (one video); a list of videos, each of them a
            path, an array of 4 axes or a list of images. An image is a Pillow image or an array of
            2 or 3 axes; arrays may be tensors of any framework.
        num_frames: For paths, and only for them: how many frames to read.
        sampling: For paths: how to choose them, see `tfzoo.io.choose_indices`.
        frame_sample_rate: For paths: the distance between frames.
        rng: For paths: the source of random clips.
        equal_lengths: Whether all videos must have the same number of frames.
        default: For paths: the choice of what is None.

    Returns:
        B lists of T frames.

    Raises:
        TypeError: Something else.
        ValueError: An empty list, videos of unequal length, a path without `num_frames` or
            `num_frames` without a path.
        VideoError: A path that is not a video.

    Example:
        >>> len(make_batched_videos(np.zeros((2, 8, 32, 32, 3), np.uint8))[0])
        8
    """
    given = {
        "num_frames": num_frames,
        "sampling": sampling,
        "frame_sample_rate": frame_sample_rate,
    }
    choice = default.with_given(**given)
    batch = []
    for video in _videos(videos):
        if _is_path(video):
            batch.append(_read(video, choice, rng))
        elif num_frames is not None:
            raise ValueError(
                "num_frames chooses frames of video files; for frames in memory, pass those you "
                "want."
            )
        else:
            batch.append(_frames(video))
    counts = [len(frames) for frames in batch]
    if equal_lengths and len(set(counts)) > 1:
        listed = ", ".join(f"video {i} has {count}" for i, count in enumerate(counts))
        raise ValueError(f"Videos of one batch need the same number of frames: {listed}.")
    return batch


def resized_frames(
    frames: list[Any], settings: SimpleNamespace, input_data_format: str | None
) -> list[np.ndarray]:
    """Resize and crop the frames of one video as the settings of an image processor say.

    Args:
        frames: Pillow images, arrays or tensors.
        settings: Those of the call: `do_resize`, `size`, `resample`, `do_center_crop`, `crop_size`
            and `do_rescale`.
        input_data_format: Layout of the frames; default: inferred.

    Returns:
        T arrays (height, width, C); their sizes may differ.
    """
    pixels = []
    for number, frame in enumerate(frames):
        if isinstance(frame, Image.Image) and settings.do_resize:  # it stays one until then
            pixels.append(to_rgb(frame))
        else:
            pixels.append(im.to_channels_last(frame, input_data_format, f"frame {number}"))
    if settings.do_rescale:
        arrays = [frame for frame in pixels if isinstance(frame, np.ndarray)]
        im.warn_if_rescaled(arrays)
    return [_resized(frame, settings) for frame in pixels]


def _resized(frame: np.ndarray | Image.Image, settings: SimpleNamespace) -> np.ndarray:
    if settings.do_resize:
        height, width = frame.size[::-1] if isinstance(frame, Image.Image) else frame.shape[:2]
        frame = im.resize(frame, im.target_size(height, width, settings.size), settings.resample)
    if not settings.do_center_crop:
        return frame
    return im.center_crop(frame, tuple(settings.crop_size.values()))


def _videos(videos: Any) -> Sequence[Any]:
    """The videos that the outermost level of `videos` holds."""
    if _is_path(videos) or is_image(videos):
        return [videos]
    if not isinstance(videos, (list, tuple)):
        array = _array_of_videos(videos)
        return [array] if array.ndim == 4 else array
    if not videos:
        raise ValueError(f"Expected {_ACCEPTED}; got an empty list.")
    images = [is_image(item) for item in videos]
    if any(images) and not all(images):
        raise ValueError(
            f"A list holds either frames or videos, but item {images.index(True)} is one frame and "
            f"item {images.index(False)} is not."
        )
    return [videos] if images[0] else videos


def _frames(video: Any) -> list[Any]:
    """The frames of a video in memory."""
    if is_image(video):
        return [video]
    if isinstance(video, (list, tuple)):
        wrong = [item for item in video if not is_image(item)]
        if wrong or not video:
            raise ValueError(
                f"Expected a video as a non-empty list of images, got "
                f"{f'{_describe(wrong[0])} among them' if wrong else 'an empty list'}."
            )
        return list(video)
    array = _array_of_videos(video)
    if array.ndim != 4:
        raise ValueError(
            f"Expected each video of a list as (T, height, width, C), got shape {array.shape}."
        )
    return list(array)


def _array_of_videos(value: Any) -> Any:
    """An array of 4 or 5 axes, none of them empty."""
    if not hasattr(value, "__array__") or isinstance(value, Image.Image):
        raise TypeError(f"Expected {_ACCEPTED}; got {_describe(value)}.")
    array = as_array(value)
    if array.ndim not in (4, 5) or not array.size:
        raise ValueError(f"Expected {_ACCEPTED}; got an array of shape {array.shape}.")
    return array


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _read(path: str | os.PathLike[str], choice: FrameChoice, rng: Any) -> list[Any]:
    if choice.num_frames is None:
        raise ValueError(
            f"{os.fspath(path)}: give num_frames, the number of frames to read (a model's "
            "config.num_frames)."
        )
    from tfzoo.io import read_video  # loads the video decoder, which frames in memory do not need

    return list(read_video(path, **vars(choice), rng=rng).frames)


def _describe(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ + ("" if shape is None else f" of shape {tuple(shape)}")
