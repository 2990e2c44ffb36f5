"""Attention rollout: which patches an answer rests on, through all layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

__all__ = ["attention_rollout", "rollout_divided", "rollout_joint"]


def rollout_joint(maps: Any) -> np.ndarray:
    """Follow attention through layers in which every token attends to every other one.

    A layer passes on half of a token and half of what it attends to: (A + I) / 2.

    Args:
        maps: L attention weights (B, H, N, N), the first layer first; heads are averaged.

    Returns:
        (B, N, N): how much of each input token (columns) is in each output token (rows). Rows sum
        to one.

    Raises:
        ValueError: No layers, or other shapes.

    Source: Abnar and Zuidema 2020, arXiv:2005.00928, section 3.

    Example:
        >>> rollout_joint([np.full((1, 2, 3, 3), 1 / 3)])[0, 0].round(3).tolist()
        [0.667, 0.167, 0.167]
    """
    layers = [_mean(one) for one in maps]
    if not layers or any(one.shape != layers[0].shape for one in layers):
        raise ValueError("maps: expected one (B, H, N, N) of each layer, all of one shape.")
    flow = np.broadcast_to(np.eye(layers[0].shape[-1]), layers[0].shape)
    for one in layers:
        flow = (flow + one @ flow) / 2
    return flow


def rollout_divided(time_maps: Any, space_maps: Any) -> np.ndarray:
    """Follow attention through layers that attend first over time and then over space.

    Over time each place attends on its own, without the class token. Over space each frame attends
    on its own together with the class token, whose new value is the mean over the frames. Both
    halves of a layer pass on half of a token, see `rollout_joint`.

    Args:
        time_maps: L attention weights (B, S, H, T, T), S places in space.
        space_maps: L attention weights (B, T, H, 1 + S, 1 + S), the class token first.

    Returns:
        (B, 1 + S T, 1 + S T), patches outer and frames inner. Rows sum to one.

    Raises:
        ValueError: No layers, or shapes that do not fit.

    Source: Abnar and Zuidema 2020, arXiv:2005.00928, for the blocks of arXiv:2102.05095.

    Example:
        >>> time, space = np.full((1, 4, 2, 3, 3), 1 / 3), np.full((1, 3, 2, 5, 5), 1 / 5)
        >>> flow = rollout_divided([time], [space])
        >>> flow.shape, bool(np.allclose(flow.sum(-1), 1))
        ((1, 13, 13), True)
    """
    pairs = [(_mean(t), _mean(s)) for t, s in zip(time_maps, space_maps, strict=True)]
    if not pairs or pairs[0][0].ndim != 4:
        raise ValueError(
            "maps: expected (B, S, H, T, T) and (B, T, H, 1 + S, 1 + S) of each layer."
        )
    batch, places, frames, _ = pairs[0][0].shape
    for time, space in pairs:
        wanted = (batch, frames, places + 1, places + 1)
        if time.shape != (batch, places, frames, frames) or space.shape != wanted:
            raise ValueError(
                f"maps: over {frames} frames at {places} places expected {wanted} over space, "
                f"heads left out, got {space.shape}."
            )
    tokens = 1 + places * frames
    flow = np.broadcast_to(np.eye(tokens), (batch, tokens, tokens))
    for time, space in pairs:
        flow = (flow + _over_time(time, flow)) / 2
        flow = (flow + _over_space(space, flow)) / 2
    return flow


def attention_rollout(model: Any, pixel_values: Any) -> np.ndarray:
    """How much of each patch is in a TimeSformer's class token, which gives the answer.

    Args:
        model: A `TFTimesformerModel` or `TFTimesformerForVideoClassification`.
        pixel_values: (B, T, C, height, width), as the image processor gives them, or the dict that
            holds them. With divided attention T is the config's `num_frames`.

    Returns:
        (B, T, rows, columns). With the class token's own share they sum to one for each video,
        with space-only attention for each frame.

    Raises:
        TypeError: Another model.
        ValueError: Inputs that do not fit.

    Example:
        >>> import tfzoo
        >>> model = tfzoo.TFTimesformerForVideoClassification.from_pretrained("checkpoint")
        >>> processor = tfzoo.AutoImageProcessor.from_pretrained("checkpoint")
        >>> clip = tfzoo.read_video("clip.mp4", num_frames=model.config.num_frames)
        >>> maps = attention_rollout(model, processor(list(clip.frames), return_tensors="np"))
        >>> maps.shape[:2] == (1, model.config.num_frames)
        True
    """
    if getattr(model.config, "model_type", None) != "timesformer":
        raise TypeError(f"model: expected a TimeSformer, got a {type(model).__name__}.")
    pixels = pixel_values["pixel_values"] if hasattr(pixel_values, "keys") else pixel_values
    outputs = model(
        pixel_values=pixels, output_attentions=True, output_hidden_states=True, return_dict=True
    )
    batch, frames, _, height, width = np.shape(pixels)
    side, kind = model.config.patch_size, model.config.attention_type
    rows, columns = height // side, width // side
    if kind == "divided_space_time":
        flow = _divided_flow(model, outputs, (batch, frames, rows * columns))
    else:
        flow = rollout_joint(outputs.attentions)
    if kind == "space_only":  # a row of the batch for each frame
        return flow[:, 0, 1:].reshape(batch, frames, rows, columns)
    return flow[:, 0, 1:].reshape(batch, rows, columns, frames).transpose(0, 3, 1, 2)


def _divided_flow(model: Any, outputs: Any, sizes: tuple[int, int, int]) -> np.ndarray:
    """The rollout of divided attention, whose weights over time are computed again."""
    batch, frames, places = sizes
    if frames != model.config.num_frames:
        raise ValueError(
            f"pixel_values: expected the config's {model.config.num_frames} frames, got {frames}."
        )
    base = getattr(model, "timesformer", model)
    time_maps, space_maps = [], []
    layers, states = base.encoder.layer, outputs.hidden_states
    for layer, state, maps in zip(layers, states, outputs.attentions, strict=False):
        rows = ops.reshape(state[:, 1:], (batch * places, frames, state.shape[-1]))
        _, over_time = layer.temporal_attention(layer.temporal_layernorm(rows))
        time_maps.append(ops.reshape(over_time, (batch, places, -1, frames, frames)))
        space_maps.append(ops.reshape(maps, (batch, frames, -1, places + 1, places + 1)))
    return rollout_divided(time_maps, space_maps)


def _mean(maps: Any) -> np.ndarray:
    """The mean over the heads, the third axis from the end."""
    return ops.convert_to_numpy(maps).astype("float64").mean(axis=-3)


def _over_time(time: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """What the tokens of `flow` are made of once each place has attended over its frames."""
    batch, places, frames, _ = time.shape
    patches = flow[:, 1:].reshape(batch, places, frames, -1)
    moved = (time @ patches).reshape(batch, places * frames, -1)
    return np.concatenate([flow[:, :1], moved], axis=1)


def _over_space(space: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The same once each frame has attended over its places and the class token."""
    batch, frames, count, _ = space.shape
    patches = flow[:, 1:].reshape(batch, count - 1, frames, -1).swapaxes(1, 2)
    cls = np.broadcast_to(flow[:, None, :1], (batch, frames, 1, flow.shape[-1]))
    seen = space @ np.concatenate([cls, patches], axis=2)
    moved = seen[:, :, 1:].swapaxes(1, 2).reshape(batch, (count - 1) * frames, -1)
    return np.concatenate([seen[:, :, 0].mean(axis=1, keepdims=True), moved], axis=1)
