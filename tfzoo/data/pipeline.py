"""From numbered examples to batches: shuffling, parallel reading, broken files, progress.

Every set of `tfzoo.data` is a list of small descriptions (a path, a label) and a function that
reads one of them. Pixels are held only for the batches that are under way.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfzoo.core.untrusted import escaped
from tfzoo.core.warn import warn
from tfzoo.data.errors import BrokenFileWarning, DataError
from tfzoo.data.order import Order
from tfzoo.data.regions.features import RegionFeatureError
from tfzoo.io import ImageError, VideoError

__all__ = ["Progress", "Reading", "prepared", "reporter", "stream"]

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
        ValueError: A number below 1, a seed that is not a whole number, or another `on_error`.

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
            if not _is_whole(value) or value < 1:
                raise ValueError(f"{name} must be a whole number above 0, got {value!r}.")
        if self.seed is not None and not _is_whole(self.seed):
            raise ValueError(f"seed must be a whole number or None, got {self.seed!r}.")
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {self.on_error!r}.")


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


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
        The batches. The attribute `skipped` holds what was left out so far, name -> reason; `order`
        is what `tfzoo.data.SetEpoch` sets.

    Example:
        >>> spec = {"x": tf.TensorSpec((2,), tf.float32)}
        >>> load = lambda i, rng: {"x": [i, i + 0.5]}
        >>> batches = stream("abc", load, spec, Reading(2, shuffle=False), lambda v: v["x"])
        >>> [batch.numpy().tolist() for batch in batches]
        [[[0.0, 0.5], [1.0, 1.5]], [[2.0, 2.5]]]
    """
    order = Order(len(names), reading.batch_size, reading.shuffle, reading.seed)
    loader = _Loader(names, load, dict(signature), order, reading.on_error == "skip")
    slots = tf.data.Dataset.range(order.batches * reading.batch_size)
    places = slots.scan(np.int64(-1), _plain(loader.places))
    parallel = reading.workers or tf.data.AUTOTUNE
    data = places.map(_plain(loader.tensors), num_parallel_calls=parallel, deterministic=True)
    data._loader = loader  # every later dataset and iterator keeps this one
    if loader.skips:
        data = data.filter(_plain(lambda is_whole, values: is_whole))
    data = data.batch(reading.batch_size)
    if not loader.skips and len(names) % reading.batch_size:
        data = data.map(_plain(_without_empty))
    data = data.map(_plain(lambda is_whole, values: finish(values))).prefetch(2)
    options = tf.data.Options()  # files hold no shards: workers take turns at examples
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    data = data.with_options(options)
    data.skipped, data.order = loader.skipped, order
    return data


def _without_empty(is_whole: Any, values: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A batch without the empty places at its end, which the last one of an epoch has.

    They keep all iterations equally long, so that their number is known: one that begins within an
    epoch, as resumed training may, has that epoch's smaller batch in its middle.
    """
    count = tf.math.count_nonzero(is_whole)
    return is_whole, {name: value[:count] for name, value in values.items()}


def _weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """TensorFlow keeps every function that it is given; this one holds no files open."""
    found = weakref.WeakMethod(method)

    def call(*args: np.ndarray) -> Any:
        living = found()
        if living is None:
            raise DataError("The dataset was deleted while it was being read: keep it.")
        return living(*args)

    return call


class _Loader:
    """Reads examples inside a `tf.data` graph; called by several threads."""

    def __init__(
        self,
        names: Sequence[str],
        load: Load,
        signature: dict[str, tf.TensorSpec],
        order: Order,
        skips: bool,
    ) -> None:
        self.names, self.load, self.signature = names, load, signature
        self.order, self.skips = order, skips
        self.skipped: dict[str, str] = {}
        self._lost: set[int] = set()
        self._lock = threading.Lock()

    def places(self, first: Any, slot: Any) -> tuple[Any, tuple[Any, Any]]:
        """The first batch of the iteration, -1 before it is known; and an epoch and an example."""
        found = tf.numpy_function(_weakly(self._place), [first, slot], [tf.int64] * 3)
        first, epoch, place = (tf.ensure_shape(value, ()) for value in found)
        return first, (epoch, place)

    def tensors(self, epoch: Any, place: Any) -> tuple[Any, dict[str, Any]]:
        """Whether an example could be read, and its arrays."""
        specs = self.signature.values()
        types = [tf.bool, *(spec.dtype for spec in specs)]
        is_whole, *values = tf.numpy_function(_weakly(self._read), [epoch, place], types)
        is_whole.set_shape(())
        for value, spec in zip(values, specs, strict=True):
            value.set_shape(spec.shape)
        return is_whole, dict(zip(self.signature, values, strict=True))

    def _place(self, first: np.ndarray, slot: np.ndarray) -> list[np.ndarray]:
        batch = self.order.begin() if first < 0 else int(first)
        return [np.int64(value) for value in (batch, *self.order.place(batch, int(slot)))]

    def _read(self, epoch: np.ndarray, place: np.ndarray) -> list[np.ndarray]:
        epoch, place = int(epoch), int(place)
        if place < 0:
            return self._blank()
        try:
            values = self.load(place, self.order.generator(epoch, place))
        except _BROKEN as error:
            self._report(place, error)
            return self._blank()
        return [
            np.array(True),
            *(self._checked(place, name, values[name]) for name in self.signature),
        ]

    def _blank(self) -> list[np.ndarray]:
        """What stands for an example that is not there."""
        zeros = [np.zeros([n or 0 for n in s.shape], _dtype(s)) for s in self.signature.values()]
        return [np.array(False), *zeros]

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
        reason = escaped(str(error) if name in str(error) else f"{name}: {error}")
        if not self.skips:
            raise DataError(f"{reason} (on_error='skip' leaves such examples out.)") from error
        with self._lock:
            is_new = place not in self._lost
            self._lost.add(place)
            self.skipped[name] = reason
        if is_new:
            warn(f"left out: {reason}", BrokenFileWarning)
        if len(self._lost) == len(self.names):
            raise DataError(
                f"None of the {len(self.names)} examples can be read. {reason}"
            ) from error


def _dtype(spec: tf.TensorSpec) -> Any:
    return spec.dtype.as_numpy_dtype


def prepared(
    prepare: Callable[[np.ndarray], np.ndarray], original: np.ndarray, changed: np.ndarray
) -> np.ndarray:
    """What a processor makes of pixels; a file whose pixels it does not take is a broken one.

    Args:
        prepare: The processor.
        original: The file's pixels.
        changed: The same after `augment`.

    Raises:
        DataError: It takes not even the original.
        ValueError: It takes the original alone: that is a fault of `augment`.

    Example:
        >>> prepared(lambda pixels: pixels / 255, np.full(2, 255), np.zeros(2)).tolist()
        [0.0, 0.0]
    """
    try:
        return prepare(changed)
    except ValueError as error:
        if changed is original or not _takes(prepare, original):
            raise DataError(str(error)) from error
        raise


def _takes(prepare: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray) -> bool:
    try:
        prepare(pixels)
    except ValueError:
        return False
    return True


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
