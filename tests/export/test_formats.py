"""Files for LiteRT and ONNX: sizes that are free or fixed, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.support.served import FORMATS, load_head
from tfzoo.export import ServingError, formats
from tfzoo.export.formats import export_format

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A Perceiver of masked texts of at most 64 bytes."""
    return load_head("perceiver_masked_lm", tmp_path_factory.mktemp("language"))[0]


def test_sizes_are_fixed_where_free_ones_come_out_wrong(language: Any, tmp_path: Path) -> None:
    made = export_format(language, tmp_path / "language.onnx", "onnx")
    assert dict(made.shapes) == {"input_ids": (1, 64), "attention_mask": (1, 64)}
    assert made.differences["logits"] < 1e-4
    assert os.listdir(tmp_path) == ["language.onnx"]


def test_sizes_may_be_chosen(language: Any, tmp_path: Path) -> None:
    shapes = {"input_ids": (2, 16), "attention_mask": (2, 16)}
    for format in FORMATS:
        file = tmp_path / f"language{formats.SUFFIXES[format]}"
        made = export_format(language, file, format, shapes)
        assert dict(made.shapes) == shapes
        assert made.differences["logits"] < 1e-4


def test_a_keras_without_the_format_says_so(
    language: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:  # in the words of Keras 3.10
        raise ValueError("Unrecognized format=litert. Supported formats are: ['onnx'].")

    if "litert" in FORMATS:
        monkeypatch.setattr(keras.Model, "export", refuse)
    with pytest.raises(ServingError, match=f"Keras {keras.__version__} cannot write litert: pip"):
        export_format(language, tmp_path / "language.tflite", "litert")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"ids": (1, 2)}, "no input 'ids', the model takes input_ids, attention_mask"),
        ({"input_ids": (1, 2, 3)}, r"input_ids must be \(None, None\), got \(1, 2, 3\)"),
    ],
)
def test_wrong_shapes(shapes: Any, message: str, language: Any, tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=message):
        export_format(language, tmp_path / "language.onnx", "onnx", shapes)
    assert os.listdir(tmp_path) == []


def test_files_that_compute_something_else_are_refused(
    language: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = formats._RUNNERS["onnx"]
    wrong = lambda *args: {name: 1.01 * value for name, value in run(*args).items()}  # noqa: E731
    monkeypatch.setitem(formats._RUNNERS, "onnx", wrong)
    shapes = {"input_ids": (1, 8), "attention_mask": (1, 8)}
    with pytest.raises(ServingError, match=r"logits differs by 1\.0e-02 .* converter got it wrong"):
        export_format(language, tmp_path / "language.onnx", "onnx", shapes)
    assert os.listdir(tmp_path) == []


def test_differences_are_relative() -> None:
    want = {"a": np.array([0.0, 200.0]), "b": np.zeros(0)}
    found = formats._differences({"a": np.array([0.1, 200.0]), "b": np.zeros(0)}, want)
    assert found == {"a": pytest.approx(0.1 / 200), "b": 0.0}
    with pytest.raises(ServingError, match=r"a has shape \(1,\), not \(2,\)"):
        formats._differences({"a": np.zeros(1)}, want)
    with pytest.raises(ServingError, match="a differs by nan"):
        formats._differences({"a": np.full(2, np.nan)}, want)


def test_missing_packages_are_named(
    language: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(formats._NEEDS, "onnx", ("no_such_package_of_onnx",))
    with pytest.raises(ServingError, match="needs no_such_package_of_onnx: pip install 'tfzoo"):
        export_format(language, tmp_path / "language.onnx", "onnx")
    with pytest.raises(ServingError, match="one of litert, onnx, got 'torch'"):
        export_format(language, tmp_path / "language.onnx", "torch")
