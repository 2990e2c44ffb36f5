"""Visual prompts: learnt patterns at the borders of the frames, one pattern for each frame.

What `visual_prompter_apply` does is what the reference's code does, with which the checkpoints
were trained; its documentation says otherwise in one place:

============  =======================  ==================================================
              around (`framepad`)      at the bottom (`framedownpad`)
============  =======================  ==================================================
``add``       prompts are added        prompts are added
``replace``   **prompts are added**    prompts stand in place of the pixels
``remove``    frames stay as they are  the pixels where prompts would stand are zero
============  =======================  ==================================================
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfzoo.layers.positions import bicubic_weights
from tfzoo.models.tvp.config import TvpConfig

__all__ = ["FrameDownPadPrompter", "FramePadPrompter", "make_prompter"]

_CHANNELS = 3


class _Prompter(keras.layers.Layer):
    """What both kinds of prompts share.

    Args:
        config: The configuration.
    """

    def __init__(self, config: TvpConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_frames, self.mode = config.prompt_frames, config.visual_prompter_apply
        self.size, self.side = config.visual_prompt_size, config.max_img_size

    @property
    def is_used(self) -> bool:
        """Whether the prompts act on the frames; they are weights in any case."""
        return self.mode != "remove"

    def _pad(self, name: str, height: int, width: int) -> Any:
        shape = (1, self.num_frames, _CHANNELS, height, width)
        return self.add_weight(
            shape=shape, initializer=keras.initializers.RandomNormal(stddev=1.0), name=name
        )

    def _rows(self, pad: Any, places: Any) -> Any:
        """(1, F, C, height, width) -> the prompts of some frames, or of all."""
        pad = ops.cast(pad, self.compute_dtype)[0]
        return pad if places is None or self.num_frames == 1 else ops.take(pad, places, axis=0)


class FramePadPrompter(_Prompter):
    """Prompts on all four sides of each frame.

    Source: the reference's TvpFramePadPrompter; figure 3 of the paper.
    """

    def build(self, input_shape: Any = None) -> None:
        """Create the prompts, in the checkpoint's order of axes."""
        inner = self.side - 2 * self.size
        self.pad_up = self._pad("pad_up", self.size, self.side)
        self.pad_down = self._pad("pad_down", self.size, self.side)
        self.pad_left = self._pad("pad_left", inner, self.size)
        self.pad_right = self._pad("pad_right", inner, self.size)
        self.built = True

    def prompts(self, places: Any = None) -> Any:
        """The prompts in a frame that is zero in its middle.

        Args:
            places: (T,), which frames of a video; all where None.

        Returns:
            (T, C, max_img_size, max_img_size).
        """
        pads = (self.pad_up, self.pad_down, self.pad_left, self.pad_right)
        up, down, left, right = (self._rows(pad, places) for pad in pads)
        inner = self.side - 2 * self.size
        middle = ops.zeros((*ops.shape(left)[:2], inner, inner), left.dtype)
        return ops.concatenate([up, ops.concatenate([left, middle, right], -1), down], -2)

    def call(self, frames: Any, places: Any = None, interpolate: bool = False) -> Any:
        """Apply the prompts.

        Args:
            frames: (..., T, C, height, width).
            places: (T,), which frame of its video each one is; 0, 1, 2, ... where None.
            interpolate: Whether the prompts are resized to the frames.

        Returns:
            The same shape.
        """
        if not self.is_used:
            return frames
        prompts = self.prompts(places)
        if interpolate:
            prompts = _resize(prompts, *ops.shape(frames)[-2:])
        return frames + prompts


class FrameDownPadPrompter(_Prompter):
    """Prompts at the bottom of each frame.

    Source: the reference's TvpFrameDownPadPrompter.
    """

    def build(self, input_shape: Any = None) -> None:
        """Create the prompts, in the checkpoint's order of axes."""
        self.pad_down = self._pad("pad_down", self.size, self.side)
        self.built = True

    def call(self, frames: Any, places: Any = None, interpolate: bool = False) -> Any:
        """Apply the prompts.

        Args:
            frames: (..., T, C, max_img_size, max_img_size).
            places: (T,), which frame of its video each one is; 0, 1, 2, ... where None.
            interpolate: Without effect: frames have the prompts' size.

        Returns:
            The same shape.
        """
        upper, lower = frames[..., : -self.size, :], frames[..., -self.size :, :]
        if self.mode != "add":
            lower = ops.zeros_like(lower)
        if self.is_used:
            lower = lower + self._rows(self.pad_down, places)
        return ops.concatenate([upper, lower], axis=-2)


def make_prompter(config: TvpConfig, name: str) -> _Prompter:
    """The prompter that a configuration asks for."""
    is_around = config.visual_prompter_type == "framepad"
    return (FramePadPrompter if is_around else FrameDownPadPrompter)(config, name=name)


def _resize(images: Any, height: Any, width: Any) -> Any:
    """Bicubic resizing of (T, C, rows, columns), by `bicubic_weights`."""
    rows, columns = (
        ops.cast(bicubic_weights(size, wanted), images.dtype)
        for size, wanted in zip(images.shape[-2:], (height, width), strict=True)
    )
    return ops.matmul(ops.matmul(rows, images), ops.transpose(columns))
