"""The order of a set's examples in each epoch, which training that is resumed goes on with."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = ["Order", "SetEpoch", "set_epoch"]

_USES = 2**20  # of a dropout's seed in an epoch, at most


class Order:
    """Which examples each batch has, and what is drawn for them, in any epoch.

    All of it follows from the seed, the epoch and the example, never from what was read before.
    Whoever iterates the set gets its batches one after the other, those of the next epoch with the
    next iteration; `move_to` chooses the batch to go on with.

    Args:
        count: Number of examples.
        batch_size: B; the last batch of an epoch may be smaller.
        shuffle: Whether each epoch has an order of its own.
        seed: None draws one from Python's `random`, which `keras.utils.set_random_seed` seeds.

    Example:
        >>> order = Order(3, batch_size=2, shuffle=False, seed=0)
        >>> first = order.begin()
        >>> [order.place(first, slot) for slot in range(4)]  # the last batch has one example
        [(0, 0), (0, 1), (0, 2), (0, -1)]
        >>> order.begin()  # the batch that the second iteration begins with
        2
    """

    def __init__(self, count: int, batch_size: int, shuffle: bool, seed: int | None) -> None:
        self.count, self.batch_size = count, batch_size
        self.batches = -(-count // batch_size)
        self._shuffle = shuffle
        self._seed = (random.getrandbits(64) if seed is None else int(seed)) % 2**64
        self._next, self._lock = 0, threading.Lock()
        self._places = lru_cache(maxsize=2)(self._drawn)  # of two epochs, where one is cut in two

    def begin(self) -> int:
        """The number of the batch that an iteration begins with, which is noted as begun."""
        with self._lock:
            first = self._next
            self._next += self.batches
        return first

    def move_to(self, batch: int) -> None:
        """Choose the batch that the next iteration begins with, counted over all epochs."""
        with self._lock:
            self._next = batch

    def place(self, first: int, slot: int) -> tuple[int, int]:
        """The epoch and the example of a place in an iteration.

        Args:
            first: The iteration's first batch.
            slot: From 0 to B times the number of batches.

        Returns:
            The example is -1 where the last batch of the epoch has no more.
        """
        batch, row = divmod(slot, self.batch_size)
        epoch, batch = divmod(first + batch, self.batches)
        number = batch * self.batch_size + row
        return epoch, int(self._places(epoch)[number]) if number < self.count else -1

    def generator(self, *key: int) -> np.random.Generator:
        """The source of what is drawn for an epoch, or for an epoch and an example."""
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=key))

    def _drawn(self, epoch: int) -> np.ndarray:
        places = np.arange(self.count)
        return self.generator(epoch).permutation(places) if self._shuffle else places


class SetEpoch(keras.callbacks.Callback):
    """Tells a set of `tfzoo.data` which epoch `fit` has come to.

    Without it a set counts how often it is iterated, from 0 in each process. With it, training that
    is resumed, by `keras.callbacks.BackupAndRestore` or with `initial_epoch`, goes on with the
    order, the clips and the augmentation that the epoch has in undisturbed training, and with the
    same dropout, whose seeds are not in a backup. So the set needs a `seed`, and a model with
    dropout `keras.utils.set_random_seed` at the start of the program.

    Args:
        dataset: The set as it goes into `fit`: one of `tfzoo.data`, or made of one by `map`, `take`
            or `repeat`. What is drawn by a `shuffle` or held by a `cache` of your own is not set.

    Raises:
        ValueError: `dataset` is not made of a set of `tfzoo.data`; during `fit`, `steps_per_epoch`
            divides it so that the beginning of an epoch cannot be found: only a set of
            `tfzoo.data` itself with `repeat()` can be divided, whose broken files are not skipped.

    Example:
        >>> import tempfile
        >>> from tfzoo.data.pipeline import Reading, stream
        >>> spec = {"x": tf.TensorSpec((1,), tf.float32)}
        >>> dataset = stream("abcdefgh", lambda i, rng: {"x": [i]}, spec, Reading(8, seed=0),
        ...                  lambda values: (values["x"], values["x"]))
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> backup = keras.callbacks.BackupAndRestore(tempfile.mkdtemp())
        >>> run = model.fit(dataset, epochs=2, verbose=0, callbacks=[backup, SetEpoch(dataset)])
    """

    def __init__(self, dataset: tf.data.Dataset) -> None:
        super().__init__()
        self._dataset, self._orders = dataset, _orders_of(dataset)
        self._has_begun = False

    def on_train_begin(self, logs: Any = None) -> None:
        self._has_begun = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        steps = (self.params or {}).get("steps")
        if steps in (None, int(self._dataset.cardinality())):  # each epoch iterates the set again
            for order in self._orders:
                order.move_to(_first_batch(order, epoch, steps))
        elif not self._has_begun:  # Keras goes on with one iteration in all epochs
            _check_divided(self._dataset, self._orders, steps)
            for order in self._orders:
                order.move_to(epoch * steps)
        self._has_begun = True
        for variable in getattr(self.model, "variables", ()):
            if variable.path.endswith("seed_generator_state"):  # a seed, and how often it was used
                seed = int(keras.ops.convert_to_numpy(variable)[0])
                variable.assign([seed, epoch * _USES % 2**31])


def set_epoch(dataset: tf.data.Dataset, epoch: int) -> None:
    """Choose the epoch that the next iteration of a set is: for a training loop of your own.

    Args:
        dataset: A set of `tfzoo.data`, or one made of it.
        epoch: From 0.

    Raises:
        ValueError: `dataset` is not made of a set of `tfzoo.data`, or a negative epoch.

    Example:
        >>> from tfzoo.data.pipeline import Reading, stream
        >>> spec = {"x": tf.TensorSpec((), tf.int64)}
        >>> dataset = stream("abcdefgh", lambda i, rng: {"x": i}, spec, Reading(8, seed=0),
        ...                  lambda values: values["x"])
        >>> first, second = (next(iter(dataset)).numpy().tolist() for _ in range(2))
        >>> set_epoch(dataset, 1)
        >>> next(iter(dataset)).numpy().tolist() == second
        True
    """
    if isinstance(epoch, bool) or not isinstance(epoch, (int, np.integer)) or epoch < 0:
        raise ValueError(f"epoch must be a whole number from 0, got {epoch!r}.")
    for order in _orders_of(dataset):
        order.move_to(_first_batch(order, int(epoch), int(dataset.cardinality())))


def _first_batch(order: Order, epoch: int, steps: int | None) -> int:
    """Where an epoch begins that iterates the set again, maybe more than once (`repeat(2)`)."""
    times = max(1, -(-(steps or 0) // order.batches))
    return epoch * times * order.batches


def _chain(dataset: tf.data.Dataset) -> Iterator[tf.data.Dataset]:
    """The datasets that one is made of, down to those of `tfzoo.data`."""
    waiting = [dataset]
    while waiting:
        one = waiting.pop()
        yield one
        if not hasattr(one, "order"):
            waiting += one._inputs()  # which TensorFlow has no public name for


def _orders_of(dataset: tf.data.Dataset) -> list[Order]:
    is_dataset = isinstance(dataset, tf.data.Dataset)
    orders = [one.order for one in _chain(dataset) if hasattr(one, "order")] if is_dataset else []
    if not orders:
        raise ValueError(
            "dataset: expected a set of tfzoo.data, or one made of it by map, take or repeat, got "
            f"{type(dataset).__name__}."
        )
    return orders


def _check_divided(dataset: tf.data.Dataset, orders: list[Order], steps: int) -> None:
    """Refuse a set whose epochs are parts of it, unless its batches can be counted."""
    sizes = {order.batches for order in orders}
    found = {int(one.cardinality()) for one in _chain(dataset)}
    endless = int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY
    if len(sizes) > 1 or not endless or not found <= {*sizes, tf.data.INFINITE_CARDINALITY}:
        raise ValueError(
            f"An epoch of {steps} steps is a part of this set, and where it begins cannot be "
            "counted. Pass fit and SetEpoch dataset.repeat() of the set as tfzoo.data gives it, "
            "with on_error='raise', or leave steps_per_epoch out."
        )
