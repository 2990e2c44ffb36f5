"""From numbered examples to batches: shuffling, parallel reading, broken files, progress.

Every set of `tfzoo.data` is a list of small descriptions (a path, a label) and a function that
reads one of them. Pixels are held only for the batches that are under way.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfzoo.data.errors import BrokenFileWarning, DataError
from tfzoo.data.regions.features import RegionFeatureError
from tfzoo.io import ImageError, VideoError

__all__ = ["Progress", "Reading", "reporter", "stream"]

_BROKEN = (DataError, VideoError, ImageError, RegionFeatureError, OSError)
Load = Callable[[int, np.random.Generator], Mapping[str, Any]]
#: See `reporter`.
Progress = bool | Callable[[int, int | None], None]
_plain = tf.autograph.experimental.do_not_convert  # nothing here needs a graph's own branches


@dataclass(frozen=True)
class Reading:
    """How a set is read; the same arguments in every function of `tfzoo.data`.

    Args:
        batch_size: B; the last batch may be smaller.
        shuffle: Whether each epoch has an order of its own.
        seed: Of the orders and of all else that is drawn; None: Keras's global seed, if set.
        on_error: "raise" ends the reading at a broken file, "skip" warns and goes on without it.
        workers: How many examples are read at once; None leaves it to `tf.data`.

    Raises:
        ValueError: A number below 1, or another `on_error`.

    Example:
        >>> Reading(batch_size=4).on_error
        'raise'
    """

    batch_size: int = 8
    shuffle: bool = True
    seed: int | None = None
    on_error: str = "raise"
    workers: int | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "workers"):
            value = getattr(self, name)
            if value is None and name == "workers":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name} must be a whole number above 0, got {value!r}.")
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {self.on_error!r}.")


def stream(
    names: Sequence[str],
    load: Load,
    signature: Mapping[str, tf.TensorSpec],
    reading: Reading,
    finish: Callable[[dict[str, Any]], Any],
) -> tf.data.Dataset:
    """The batches of a set.

    Args:
        names: What each example is called in messages; at least one.
        load: Reads the i-th, given its number and a source of random numbers, as arrays by name.
        signature: Shape and dtype of each of these arrays.
        reading: See `Reading`.
        finish: Brings the batched arrays into the form that `fit` takes.

    Returns:
        The batches. The attribute `skipped` holds what was left out so far, name -> reason.

    Example:
        >>> spec = {"x": tf.TensorSpec((2,), tf.float32)}
        >>> load = lambda i, rng: {"x": [i, i + 0.5]}
        >>> batches = stream("abc", load, spec, Reading(2, shuffle=False), lambda v: v["x"])
        >>> [batch.numpy().tolist() for batch in batches]
        [[[0.0, 0.5], [1.0, 1.5]], [[2.0, 2.5]]]
    """
    loader = _Loader(names, load, dict(signature), reading.on_error == "skip")
    places = tf.data.Dataset.range(len(names))
    if reading.shuffle:
        places = places.shuffle(len(names), seed=reading.seed, reshuffle_each_iteration=True)
    dice = tf.data.Dataset.random(seed=reading.seed, rerandomize_each_iteration=True)
    parallel = reading.workers or tf.data.AUTOTUNE
    data = tf.data.Dataset.zip((places, dice))
    data = data.map(_plain(loader.tensors), num_parallel_calls=parallel, deterministic=True)
    data._loader = loader  # every later dataset and iterator keeps this one
    if loader.skips:
        data = data.filter(_plain(lambda is_whole, values: is_whole))
    data = data.map(_plain(lambda is_whole, values: values))
    data = data.batch(reading.batch_size).map(_plain(finish)).prefetch(2)
    options = tf.data.Options()  # files hold no shards: workers take turns at examples
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = data.with_options(options)
    data.skipped = loader.skipped
    return data


class _Loader:
    """Reads examples inside a `tf.data` graph; called by several threads."""

    def __init__(
        self, names: Sequence[str], load: Load, signature: dict[str, tf.TensorSpec], skips: bool
    ) -> None:
        self.names, self.load, self.signature, self.skips = names, load, signature, skips
        self.skipped: dict[str, str] = {}
        self._lost: set[int] = set()
        self._lock = threading.Lock()

    def tensors(self, place: Any, dice: Any) -> tuple[Any, dict[str, Any]]:
        """Whether an example could be read, and its arrays."""
        specs = self.signature.values()
        types = [tf.bool, *(spec.dtype for spec in specs)]
        is_whole, *values = tf.numpy_function(self._weak_reader(), [place, dice], types)
        is_whole.set_shape(())
        for value, spec in zip(values, specs, strict=True):
            value.set_shape(spec.shape)
        return is_whole, dict(zip(self.signature, values, strict=True))

    def _weak_reader(self) -> Callable[..., list[np.ndarray]]:
        """TensorFlow keeps every function that it is given; this one holds no files open."""
        reader = weakref.WeakMethod(self._read)

        def read(place: np.ndarray, dice: np.ndarray) -> list[np.ndarray]:
            living = reader()
            if living is None:
                raise DataError("The dataset was deleted while it was being read: keep it.")
            return living(place, dice)

        return read

    def _read(self, place: np.ndarray, dice: np.ndarray) -> list[np.ndarray]:
        place = int(place)
        try:
            values = self.load(place, np.random.default_rng(int(dice)))
        except _BROKEN as error:
            self._report(place, error)
            blank = [
                np.zeros([n or 0 for n in s.shape], _dtype(s)) for s in self.signature.values()
            ]
            return [np.array(False), *blank]
        return [
            np.array(True),
            *(self._checked(place, name, values[name]) for name in self.signature),
        ]

    def _checked(self, place: int, name: str, value: Any) -> np.ndarray:
        spec = self.signature[name]
        value = np.asarray(value, _dtype(spec))
        if not spec.shape.is_compatible_with(value.shape):
            raise DataError(
                f"{self.names[place]}: expected {name} of shape {tuple(spec.shape)}, as in all "
                f"examples, got {value.shape}. Does `augment` change the number of frames, or "
                "their size?"
            )
        return value

    def _report(self, place: int, error: Exception) -> None:
        """Refuse a broken example, or warn the first time that it is met."""
        name = self.names[place]
        reason = str(error) if name in str(error) else f"{name}: {error}"
        if not self.skips:
            raise DataError(f"{reason} (on_error='skip' leaves such examples out.)") from error
        with self._lock:
            is_new = place not in self._lost
            self._lost.add(place)
            self.skipped[name] = reason
        if is_new:
            warnings.warn(f"left out: {reason}", BrokenFileWarning, stacklevel=2)
        if len(self._lost) == len(self.names):
            raise DataError(
                f"None of the {len(self.names)} examples can be read. {reason}"
            ) from error


def _dtype(spec: tf.TensorSpec) -> Any:
    return spec.dtype.as_numpy_dtype


@contextlib.contextmanager
def reporter(
    progress: Progress, unit: str, total: int | None = None
) -> Iterator[Callable[[int], None]]:
    """Give a function to call with the number of units done so far.

    Args:
        progress: True shows a bar on a terminal, False nothing; a function is called with
            (done, total).
        unit: What is counted.
        total: How many units there are, if known.

    Example:
        >>> with reporter(lambda done, total: print(done, total), "file", 3) as report:
        ...     report(1)
        1 3
    """
    if callable(progress):
        yield lambda done: progress(done, total)
        return
    # disable=None: silent where the output is not a terminal.
    scaled = unit == "B"
    with tqdm(total=total, unit=unit, unit_scale=scaled, disable=None if progress else True) as bar:
        yield lambda done: bar.update(done - bar.n)
