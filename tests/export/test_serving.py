"""`tfzoo.export_serving`: what it writes, what it refuses, and that nothing half-written stays."""

from __future__ import annotations

import os
import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.cli.helpers import TINY
from tfzoo.export import Endpoint, ServingError, ServingOptions, serving
from tfzoo.export.endpoint import default_endpoint
from tfzoo.export.saved_model import BATCHING_FILE, WARMUP_FILE, read_signatures

FEATURES = np.ones((1, 16), "float32")


@pytest.fixture(scope="module")
def model() -> Any:
    """A TimeSformer of 10,000 weights."""
    return tfzoo.TFTimesformerForVideoClassification(tfzoo.TimesformerConfig(**TINY))


def largest(model: Any, **changed: Any) -> Endpoint:
    """A signature that is traced at once: the best logit of given features."""
    values = {
        "name": "largest",
        "function": lambda x: {
            "logit": tf.reduce_max(model.classifier(x), axis=-1),
            "name": tf.fill([tf.shape(x)[0]], "best"),
        },
        "inputs": {"x": tf.TensorSpec([None, 16], "float32")},
        "example": {"x": FEATURES},
    }
    return Endpoint(**{**values, **changed})


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A family of one signature that stands for all; a test may change what it offers."""
    stand_in = SimpleNamespace(
        OPTIONS=frozenset({"labels", "top_k"}),
        endpoints=lambda model, processor, options: [largest(model)],
    )
    monkeypatch.setattr(serving, "_family", lambda model: stand_in)
    monkeypatch.setattr(serving, "default_endpoint", lambda m: largest(m, name="serving_default"))
    return stand_in


def export(model: Any, folder: Path, **options: Any) -> Path:
    return tfzoo.export_serving(model, None, folder / "clips", **options)


# ---- what is written
def test_version_is_complete(model: Any, family: Any, tmp_path: Path) -> None:
    folder = export(model, tmp_path, version=20261121)
    assert folder == tmp_path / "clips" / "20261121"
    assert os.listdir(tmp_path / "clips") == ["20261121"]
    names = {path.name for path in folder.iterdir()}
    assert {"saved_model.pb", "variables", "assets.extra", str(BATCHING_FILE)} <= names
    offered = read_signatures(folder)
    assert list(offered) == ["largest", "serving_default"]
    inputs, outputs = offered["largest"]
    assert inputs["x"].shape.as_list() == [None, 16]
    assert {name: spec.dtype for name, spec in outputs.items()} == {
        "logit": tf.float32,
        "name": tf.string,
    }
    mode = folder.stat().st_mode & 0o777
    assert mode == (tmp_path / "clips").stat().st_mode & 0o777, "readable as any new folder"


def test_warmup_can_be_left_out(model: Any, family: Any, tmp_path: Path) -> None:
    assert (export(model, tmp_path) / WARMUP_FILE).is_file()
    bare = export(model, tmp_path, version=2, warmup=False)
    assert not (bare / WARMUP_FILE).parent.exists()


def test_chosen_signatures(model: Any, family: Any, tmp_path: Path) -> None:
    other = largest(model, name="other", function=lambda x: {"y": x})
    family.endpoints = lambda *_: [largest(model), other]
    offered = read_signatures(export(model, tmp_path, signatures=["other", "largest"]))
    assert list(offered) == ["largest", "other", "serving_default"]
    assert list(offered["serving_default"][1]) == ["y"], "the first one"
    offered = read_signatures(export(model, tmp_path, signatures=["serving_default"], version=2))
    assert list(offered) == ["serving_default"]
    assert list(offered["serving_default"][1]) == ["logit", "name"], "the model's own"
    with pytest.raises(ServingError, match="no signature 'othr' here; did you mean 'other'"):
        export(model, tmp_path, signatures=["othr"], version=3)
    with pytest.raises(ServingError, match="list of names, got the one text 'other'"):
        export(model, tmp_path, signatures="other", version=3)
    with pytest.raises(ServingError, match="list of names, got an empty one"):
        export(model, tmp_path, signatures=[], version=3)
    assert sorted(os.listdir(tmp_path / "clips")) == ["1", "2"]


def test_only_what_keeps_rows_apart_may_be_batched(
    model: Any, family: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It compares all rows with all: put together, two requests would get four answers.
    pairs = largest(model, name="serving_default", function=lambda x: {"y": x @ tf.transpose(x)})
    monkeypatch.setattr(serving, "default_endpoint", lambda model: pairs)
    assert not (export(model, tmp_path) / BATCHING_FILE).exists()
    text = (export(model, tmp_path, version=2, signatures=["largest"]) / BATCHING_FILE).read_text()
    assert "max_batch_size { value: 8 }" in text


# ---- versions
def test_existing_versions_stay(model: Any, family: Any, tmp_path: Path) -> None:
    first = export(model, tmp_path)
    export(model, tmp_path, version=7)
    (first / "mark").touch()
    with pytest.raises(FileExistsError, match=r"clips/1 exists.*next free one is 8"):
        export(model, tmp_path)
    assert (first / "mark").exists()
    with pytest.raises(FileExistsError, match="is a SavedModel itself"):
        tfzoo.export_serving(model, None, first)
    assert sorted(os.listdir(tmp_path / "clips")) == ["1", "7"]


def test_a_version_that_appears_meanwhile_stays(
    model: Any, family: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(*_: Any) -> None:
        (tmp_path / "clips" / "1").mkdir()
        (tmp_path / "clips" / "1" / "theirs").touch()

    monkeypatch.setattr(serving, "write_warmup", publish)
    with pytest.raises(FileExistsError, match="clips/1 has come to exist meanwhile"):
        export(model, tmp_path)
    assert os.listdir(tmp_path / "clips") == ["1"]
    assert os.listdir(tmp_path / "clips" / "1") == ["theirs"]


@pytest.mark.parametrize("version", [-1, 1.0, "1", True, 2**63])
def test_versions_are_numbers(version: Any, model: Any, tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="whole number from 0"):
        export(model, tmp_path, version=version)
    assert os.listdir(tmp_path) == []


def test_half_written_versions_are_never_seen(
    model: Any, family: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(write: Callable) -> Callable:
        def writing(*args: Any, **kwargs: Any) -> None:
            seen.append([name for name in os.listdir(tmp_path / "clips") if name.isdecimal()])
            write(*args, **kwargs)
            seen.append([name for name in os.listdir(tmp_path / "clips") if name.isdecimal()])

        return writing

    for name in ("write_warmup", "write_batching"):
        monkeypatch.setattr(serving, name, look(getattr(serving, name)))
    export(model, tmp_path)
    assert seen == [[]] * 4
    assert os.listdir(tmp_path / "clips") == ["1"]


# ---- failures
@pytest.mark.parametrize("existing", [False, True])
def test_failures_leave_nothing(
    existing: bool, model: Any, family: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if existing:
        export(model, tmp_path)

    def fail(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(serving, "write_warmup", fail)
    with pytest.raises(OSError, match="No space left"):
        export(model, tmp_path, version=2)
    assert os.listdir(tmp_path) == (["clips"] if existing else [])
    assert not existing or os.listdir(tmp_path / "clips") == ["1"]


def test_a_disk_that_is_too_full_is_refused(
    model: Any, family: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=20_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    with pytest.raises(OSError, match=r"needs up to 34 MB, and .* has 20 MB left: make room"):
        export(model, tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_disk_that_fills_up_is_an_error(model: Any, family: Any, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))  # the system refuses longer files
    try:
        with pytest.raises(OSError, match="could not be written"):
            export(model, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


def test_no_folder_to_write_to(model: Any, family: Any, tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("precious")
    with pytest.raises(OSError, match="cannot be written to"):
        export(model, tmp_path)
    assert (tmp_path / "clips").read_text() == "precious"


# ---- refusals
def test_options_are_named(model: Any, family: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="unknown option 'topk'; did you mean 'top_k'"):
        export(model, tmp_path, topk=3)
    with pytest.raises(TypeError, match="unknown option 'colour'; .* takes labels, top_k"):
        export(model, tmp_path, colour="red")
    with pytest.raises(ServingError, match=r"takes no queries; its options: labels, top_k\."):
        export(model, tmp_path, queries=["a cat"])
    assert os.listdir(tmp_path) == []


def test_what_is_no_model(tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="takes a model of tfzoo, got dict"):
        export({}, tmp_path)
    monkeypatch.setattr(serving.keras.backend, "backend", lambda: "jax")
    with pytest.raises(ServingError, match="Keras's TensorFlow backend, this is jax"):
        export(model, tmp_path)
    assert os.listdir(tmp_path) == []


def test_examples_are_run(model: Any, family: Any, tmp_path: Path) -> None:
    def refusal(function: Callable) -> str:
        family.endpoints = lambda *_: [largest(model, function=function)]
        with pytest.raises(ServingError) as caught:
            export(model, tmp_path)
        return str(caught.value)

    def fail(x: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.assert_less(x, 0.5, "too bright")]):
            return {"y": tf.identity(x)}

    rows = "largest does not give one answer for each row of a request."
    assert refusal(lambda x: {"mean": tf.reduce_mean(x)}) == rows
    assert refusal(lambda x: {"pairs": x @ tf.transpose(x)}) == rows
    assert "largest: y is not finite" in refusal(lambda x: {"y": x / 0.0})
    assert re.match("largest does not run: .*too bright", refusal(fail), re.DOTALL)
    assert os.listdir(tmp_path) == []


def test_damaged_weights_are_noticed(family: Any, tmp_path: Path) -> None:
    model = tfzoo.TFTimesformerForVideoClassification(tfzoo.TimesformerConfig(**TINY))
    model.classifier.bias.assign([0.0, np.nan, 0.0])
    with pytest.raises(ServingError, match="serving_default: logit is not finite"):
        export(model, tmp_path)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(
    model: Any, family: Any, tmp_path: Path, number: float
) -> None:
    """A model would answer them with NaN, which looks like an answer."""
    served = tf.saved_model.load(export(model, tmp_path, warmup=False)).signatures
    wrong = FEATURES.copy()
    wrong[0, 3] = number
    for name in ("largest", "serving_default"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="x: expected finite numbers"):
            served[name](x=tf.constant(wrong))
        assert np.isfinite(served[name](x=tf.constant(FEATURES))["logit"]).all()


# ---- the parts
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("labels", "cat", "list of texts, got the one text 'cat'"),
        ("labels", 3, "list of texts, got int"),
        ("queries", [], "got an empty one"),
        ("queries", ["a", " "], "none of them empty; got ' ' in it"),
        ("labels", ["a", 3], "got 3 in it"),
        ("top_k", 0, "integer of at least 1, got 0"),
        ("top_k", True, "integer of at least 1, got True"),
        ("max_pixels", 2**31, "31 bits"),
        ("max_detections", 1.5, "integer of at least 1"),
        ("threshold", 1.1, "from 0 to 1, got 1.1"),
        ("threshold", "high", "number from 0 to 1, got 'high'"),
        ("iou_threshold", float("nan"), "from 0 to 1, got nan"),
    ],
)
def test_options_are_checked(option: str, value: Any, message: str) -> None:
    with pytest.raises(ServingError, match=message):
        ServingOptions(**{option: value})


def test_options_keep_their_order() -> None:
    options = ServingOptions(labels=iter(["b", "a", "a"]), top_k=np.int64(2), threshold=0)
    assert (options.labels, options.top_k, options.threshold) == (("b", "a", "a"), 2, 0.0)
    assert ServingOptions.names()[:3] == ("labels", "queries", "top_k")


@pytest.mark.slow
def test_default_examples_fit_every_head() -> None:
    from tests.support.classes import model_families
    from tests.support.signatures import smallest_case

    for name, family in model_families().items():
        case = smallest_case(name, family)
        endpoint = default_endpoint(case.tf_class(case.tf_class.config_class(**case.config)))
        outputs = endpoint.function(**endpoint.example)
        assert outputs, name
        assert all(np.isfinite(np.asarray(value)).all() for value in outputs.values()), name
