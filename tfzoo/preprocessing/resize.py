"""Resizing as scikit-image does it: a Gaussian blur, then linear sampling, mirrored at the borders.

Both steps are linear and separable, so that each axis takes one matrix, A = sampling x blur. A is
a narrow band: neighbouring rows touch a few neighbouring pixels only. Blocks of rows are therefore
multiplied as small dense matrices, which CPUs are fastest at.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfzoo.preprocessing.image import check_resize

__all__ = ["antialiased_resize"]

_BLOCK = 8  # rows of A at a time: more waste flops outside the band, fewer waste calls
_SMALL = 2**18  # multiplications at a time: more, and BLAS starts threads that do not pay off
_TRUNCATE = 4.0  # radius of the blur in standard deviations


def antialiased_resize(
    image: np.ndarray, size: tuple[int, int], sigma: tuple[float, float] | None = None
) -> np.ndarray:
    """Blur against aliasing, then sample linearly; results stay within the image's range.

    Args:
        image: (height, width, C), real numbers.
        size: New (height, width).
        sigma: Standard deviations of the blur along height and width, in pixels of the image; 0
            for none. Default: (f - 1) / 2 for a reduction by the factor f, and 0 for enlargement.

    Returns:
        (new height, new width, C): float64 for float64, float32 for smaller floats. Integers keep
        their dtype and are truncated after the blur of each axis, as in the reference, so that
        floats are the better choice.

    Raises:
        ValueError: An image or a size without pixels, or of too many, a negative `sigma`.

    Source: `skimage.transform.resize` with `mode="mirror"`, `anti_aliasing=True` and `order=1`,
    which OWLv2 was trained with.

    Example:
        >>> antialiased_resize(np.arange(8.0).reshape(8, 1, 1), (4, 1))[:, 0, 0].round(3)
        array([0.607, 2.5  , 4.5  , 6.393])
    """
    height, width = image.shape[:2]
    if min(*image.shape, *size) < 1:
        raise ValueError(f"Expected sizes above 0, got an image {image.shape} to make {size}.")
    check_resize((height, width), size)
    if sigma is None:
        sigma = tuple(max(0.0, (n / m - 1) / 2) for n, m in zip((height, width), size, strict=True))
    if min(sigma) < 0:
        raise ValueError(f"sigma: expected standard deviations of 0 or more, got {sigma}.")
    if size == (height, width) and not any(sigma):
        return image
    if np.issubdtype(image.dtype, np.integer):
        sampled = _resampled(_blurred_integers(image, sigma), size, (0.0, 0.0))
        result = np.trunc(sampled + np.copysign(0.5, sampled)).astype(image.dtype)
    else:
        result = _resampled(image, size, sigma)
    return np.clip(result, image.min(), image.max(), out=result)


def _resampled(image: np.ndarray, size: tuple[int, int], sigma: tuple[float, float]) -> np.ndarray:
    """Blur and sample both axes: (height, width, C) to (*size, C)."""
    height, width, channels = image.shape
    image = image.astype(np.float64 if image.dtype == np.float64 else np.float32, copy=False)
    rows = np.empty((size[0], width * channels), image.dtype)
    _multiply(np.ascontiguousarray(image).reshape(height, -1), rows, sigma[0])
    planes = np.ascontiguousarray(rows.reshape(size[0], width, channels).transpose(2, 0, 1))
    result = np.empty((channels, *size), image.dtype)
    _multiply(planes.reshape(-1, width).T, result.reshape(-1, size[1]).T, sigma[1])
    return result.transpose(1, 2, 0)


def _multiply(lines: np.ndarray, out: np.ndarray, sigma: float) -> None:
    """Put A x `lines` into `out`: (n_in, M) and (n_out, M)."""
    for target, source, band in _bands(len(lines), len(out), sigma):
        band = band.astype(lines.dtype)
        step = max(1, _SMALL // band.size)
        for start in range(0, lines.shape[1], step):
            part = slice(start, start + step)
            np.matmul(band, lines[source, part], out=out[target, part])


def _blurred_integers(image: np.ndarray, sigma: tuple[float, float]) -> np.ndarray:
    """The blur, truncated to integers after each axis, as the reference stores it.

    A sum just below an integer loses a whole one, so that even the order of addition matters.
    """
    image = image.astype(np.float64)
    for axis, width in enumerate(sigma):
        kernel = _kernel(width)
        radius = len(kernel) // 2
        n = image.shape[axis]
        lines = np.take(image, _mirror(np.arange(-radius, n + radius), n), axis=axis)
        lines = np.moveaxis(lines, axis, 0)
        total = lines[radius : radius + n] * kernel[radius]
        for k in range(radius):
            total += (lines[k : k + n] + lines[2 * radius - k :][:n]) * kernel[k]
        image = np.moveaxis(np.trunc(total), 0, axis)
    return image


def _kernel(sigma: float) -> np.ndarray:
    """Weights of the blur, (2 radius + 1,)."""
    radius = int(_TRUNCATE * sigma + 0.5)
    if not radius:
        return np.ones(1)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    return weights / weights.sum()


def _bands(n_in: int, n_out: int, sigma: float) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """The blocks of A (n_out, n_in): their rows, their columns, their values."""
    positions, weights = _taps(n_in, n_out, sigma)
    for start in range(0, n_out, _BLOCK):
        columns = positions[start : start + _BLOCK]
        first, last = columns.min(), columns.max() + 1
        band = np.zeros((len(columns), last - first))
        np.add.at(
            band,
            (np.arange(len(columns))[:, None], columns - first),
            weights[start:][: len(columns)],
        )
        yield slice(start, start + len(columns)), slice(first, last), band


def _taps(n_in: int, n_out: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """The pixels that each output is made of, and their weights: (n_out, taps) both."""
    # The mirrored signal is even about each border, and the blur is even, so that blurring and
    # mirroring commute: one mirror serves both steps.
    blur = np.append(_kernel(sigma), 0.0)
    radius = len(blur) // 2 - 1
    source = (np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5  # where output i lies in the input
    floor = np.floor(source)
    right = (source - floor)[:, None]
    weights = (1 - right) * blur + right * np.roll(blur, 1)
    positions = floor[:, None].astype(int) + np.arange(-radius, radius + 2)
    return _mirror(positions, n_in), weights


def _mirror(positions: np.ndarray, n: int) -> np.ndarray:
    """Fold positions into 0..n-1, as d c b | a b c d | c b a."""
    if n == 1:
        return np.zeros_like(positions)
    period = 2 * (n - 1)
    positions = positions % period
    return np.minimum(positions, period - positions)
