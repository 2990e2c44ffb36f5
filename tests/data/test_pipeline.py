"""What all training sets share: order, random numbers, parallel reading, broken examples."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.support.processes import run_python
from tfzoo.data.errors import BrokenFileWarning, DataError
from tfzoo.data.pipeline import Reading, prepared, stream
from tfzoo.data.regions import RegionFeatureError
from tfzoo.io import ImageError, VideoError

SPEC = {"place": tf.TensorSpec((), tf.int64), "drawn": tf.TensorSpec((2,), tf.float32)}
NAMES = list("abcdefghij")


def load(place: int, rng: np.random.Generator) -> dict[str, Any]:
    return {"place": place, "drawn": rng.random(2)}


def batches(load: Callable = load, names: Sequence[str] = NAMES, **options: Any) -> tf.data.Dataset:
    reading = Reading(**{"batch_size": 4, "shuffle": False, **options})
    return stream(names, load, SPEC, reading, lambda values: (values["place"], values["drawn"]))


def places(dataset: tf.data.Dataset) -> list[int]:
    return [int(place) for batch, _ in dataset for place in batch]


def drawn(dataset: tf.data.Dataset) -> np.ndarray:
    return np.concatenate([values for _, values in dataset])


def broken(place: int, rng: np.random.Generator) -> dict[str, Any]:
    if place in (3, 7):
        raise FileNotFoundError("it is gone")
    return load(place, rng)


def test_order_and_sizes() -> None:
    dataset = batches()
    assert places(dataset) == list(range(10))
    assert len(dataset) == 3
    assert [len(batch) for batch, _ in dataset] == [4, 4, 2]
    assert dataset.element_spec[1].shape.as_list() == [None, 2]


def test_each_epoch_has_its_own_order_and_draws() -> None:
    one, same, other = (batches(shuffle=True, seed=seed, workers=2) for seed in (1, 1, 2))
    epochs = [places(one) for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    assert epochs == [places(same) for _ in range(2)]
    assert epochs[0] != places(other)
    one, same = batches(seed=1), batches(seed=1)
    first, second = drawn(one), drawn(one)
    assert len(np.unique(first)) == 20
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, drawn(same))
    np.testing.assert_array_equal(second, drawn(same))


def test_examples_are_read_at_once() -> None:
    """Each waits for another: one after the other, nobody would ever arrive."""
    meeting = threading.Barrier(2, timeout=30)

    def wait(place: int, rng: np.random.Generator) -> dict[str, Any]:
        meeting.wait()
        return load(place, rng)

    assert places(batches(wait, workers=2)) == list(range(10))


def test_only_a_few_examples_are_read_ahead() -> None:
    """How many is `tf.data`'s choice, by the machine; what counts is that the reading stops."""
    read = []

    def note(place: int, rng: np.random.Generator) -> dict[str, Any]:
        read.append(place)
        return load(place, rng)

    dataset = batches(note, names=[str(i) for i in range(1000)], batch_size=1, workers=1)
    assert read == []
    iterator = iter(dataset)
    next(iterator)
    assert 1 <= count_at_rest(read) <= 50


def count_at_rest(grows: list[int]) -> int:
    """The length of a list that other threads write to, once it is the same for a second."""
    seen, deadline = -1, time.monotonic() + 30
    while seen != len(grows) and time.monotonic() < deadline:
        seen = len(grows)
        time.sleep(1)
    return seen


def test_workers_share_the_examples() -> None:
    """With the rewrite that TensorFlow makes for each of two workers, and its own policy."""
    dataset, read = batches(), []
    policy = dataset.options().experimental_distribute.auto_shard_policy
    for worker in (0, 1):
        variant = tf.raw_ops.AutoShardDataset(
            input_dataset=tf.data.experimental.to_variant(dataset),
            num_workers=2,
            index=worker,
            output_types=[spec.dtype for spec in dataset.element_spec],
            output_shapes=[spec.shape for spec in dataset.element_spec],
            auto_shard_policy=int(policy),
        )
        read.append(places(tf.data.experimental.from_variant(variant, dataset.element_spec)))
    assert all(read)
    assert sorted(read[0] + read[1]) == list(range(10))


def test_a_broken_example_ends_the_reading() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"d: it is gone.*on_error='skip'"):
        places(batches(broken))


def test_a_broken_example_is_skipped_and_reported_once() -> None:
    dataset = batches(broken, on_error="skip")
    with pytest.warns(BrokenFileWarning) as said:
        assert places(dataset) == [0, 1, 2, 4, 5, 6, 8, 9]
    assert sorted(str(w.message) for w in said) == [
        "left out: d: it is gone",
        "left out: h: it is gone",
    ]
    assert dataset.skipped == {"d": "d: it is gone", "h": "h: it is gone"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert places(dataset) == [0, 1, 2, 4, 5, 6, 8, 9]


@pytest.mark.parametrize(
    "error", [DataError, ImageError, RegionFeatureError, VideoError, PermissionError]
)
def test_whatever_a_reader_says_of_a_file_is_skipped(error: type[Exception]) -> None:
    def damaged(place: int, rng: np.random.Generator) -> dict[str, Any]:
        if place == 4:
            raise error("\x1b[2Jdamaged")
        return load(place, rng)

    dataset = batches(damaged, on_error="skip")
    with pytest.warns(BrokenFileWarning, match=r"\\x1b\[2Jdamaged"):
        assert places(dataset) == [0, 1, 2, 3, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("error", [ValueError, KeyError, MemoryError])
def test_a_fault_of_the_program_is_never_skipped(error: type[Exception]) -> None:
    def faulty(place: int, rng: np.random.Generator) -> dict[str, Any]:
        raise error("oh")

    with pytest.raises(tf.errors.OpError, match="oh"):
        places(batches(faulty, on_error="skip"))


def test_pixels_that_a_processor_does_not_take() -> None:
    def prepare(pixels: np.ndarray) -> np.ndarray:
        if len(pixels) > 2:
            raise ValueError("too long")
        return pixels

    long, short = np.zeros(4), np.zeros(2)
    assert prepared(prepare, long, short) is short  # `augment` may cut it
    for changed in (long, long + 1):
        with pytest.raises(DataError, match="too long"):
            prepared(prepare, long, changed)
    with pytest.raises(ValueError, match="too long") as caught:
        prepared(prepare, short, long)
    assert not isinstance(caught.value, DataError)


def test_a_set_of_broken_examples_is_refused() -> None:
    def lost(place: int, rng: np.random.Generator) -> dict[str, Any]:
        raise DataError("damaged")

    with (
        pytest.warns(BrokenFileWarning),
        pytest.raises(tf.errors.InvalidArgumentError, match="None of the 10 examples"),
    ):
        places(batches(lost, on_error="skip"))


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_another_shape_is_never_skipped(on_error: str) -> None:
    def longer(place: int, rng: np.random.Generator) -> dict[str, Any]:
        return {"place": place, "drawn": rng.random(2 + (place == 5))}

    message = r"f: expected drawn of shape \(2,\), as in all examples, got \(3,\)"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        places(batches(longer, on_error=on_error))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number above 0, got 0"),
        ({"batch_size": 2.5}, "batch_size must be"),
        ({"batch_size": None}, "batch_size must be"),
        ({"workers": -1}, "workers must be"),
        ({"seed": 1.5}, "seed must be a whole number or None, got 1.5"),
        ({"on_error": "ignore"}, "on_error must be 'raise' or 'skip', got 'ignore'"),
    ],
)
def test_wrong_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reading(**options)


def test_names_load_on_first_use() -> None:
    code = """
import sys, tfzoo.data
print("tensorflow" in sys.modules, "av" in sys.modules)
"""
    assert run_python(code).strip() == "False False"
    assert all(getattr(tfzoo.data, name) for name in tfzoo.data.__all__)
    with pytest.raises(AttributeError, match=r"'tfzoo\.data' has no attribute 'nonsense'"):
        tfzoo.data.nonsense  # noqa: B018
