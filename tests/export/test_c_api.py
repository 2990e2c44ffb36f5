"""Exports through other loaders: TensorFlow's C library, a bare process, `saved_model_cli`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.c_api import RequestError, Session
from tests.support.endpoints import as_bytes
from tests.support.paths import FIXTURES
from tests.support.processes import run_python
from tfzoo.export.saved_model import read_examples, read_signatures

PHOTO = FIXTURES / "photos" / "coffee.jpg"


def answers_equal(
    answer: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], bound: float
) -> None:
    """Compare fields by name, numbers within a part of their largest."""
    assert set(answer) == set(expected)
    for name, wanted in expected.items():
        got, wanted = np.asarray(answer[name]), np.asarray(wanted)
        assert got.dtype == wanted.dtype, name
        assert got.shape == wanted.shape, name
        if wanted.dtype.kind in "OSb":
            assert got.tolist() == wanted.tolist(), name
        else:
            scale = max(np.abs(wanted).max(initial=0), 1e-6)
            np.testing.assert_allclose(got, wanted, rtol=0, atol=bound * scale, err_msg=name)


@pytest.mark.parametrize(
    "name",
    [  # texts, fields; the others are in test_under_load.py
        "perceiver_masked_lm",
        pytest.param("perceiver_flow", marks=pytest.mark.slow),
    ],
)
def test_c_library_answers_as_python_does(name: str, saved: Callable[[str], Path]) -> None:
    folder = saved(name)
    session = Session(folder)
    offered = read_signatures(folder)
    assert {n: (set(i), set(o)) for n, (i, o) in session.signatures.items()} == {
        n: (set(i), set(o)) for n, (i, o) in offered.items()
    }
    signatures = tf.saved_model.load(str(folder)).signatures
    for signature, inputs in read_examples(folder).items():
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        expected = {key: value.numpy() for key, value in signatures[signature](**tensors).items()}
        answers_equal(session.run(signature, **inputs), expected, 1e-6)
    session.close()


def test_c_library_speaks_of_what_is_wrong(saved: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="SavedModel"):
        Session(tmp_path)
    session = Session(saved("perceiver_conv"))
    good = as_bytes(PHOTO.read_bytes())
    first = session.run("classify_image", image=good)
    wrong = {
        "JPEG or PNG": as_bytes("nothing"),
        "at least one image": good[:0],
        "string": np.zeros(1, "float32"),
        "(?i)rank|shape|scalar": good[None],
    }
    for words, image in wrong.items():
        with pytest.raises(RequestError, match=words):
            session.run("classify_image", image=image)
        answers_equal(session.run("classify_image", image=good), first, 0)
    session.close()


_BARE = """
import sys
for name in ("keras", "tfzoo", "PIL", "av", "tokenizers"):
    sys.modules[name] = None  # may not be imported
import json
import tensorflow as tf
photo = tf.constant([open(sys.argv[1], "rb").read()])
texts = tf.constant([b"m[MASK]ssing", b"[MASK]\\xff"])
classify, fill = (tf.saved_model.load(folder).signatures for folder in sys.argv[2:])
labels = classify["classify_image"](image=photo)["labels"].numpy().tolist()
filled = fill["fill_mask"](text=texts)["text"].numpy().tolist()
print(json.dumps([[[label.decode() for label in row] for row in labels],
                  [text.decode() for text in filled]]))
"""


@pytest.mark.slow
def test_a_process_with_tensorflow_alone(saved: Callable[[str], Path]) -> None:
    folders = saved("perceiver_conv"), saved("perceiver_masked_lm")
    labels, texts = json.loads(run_python(_BARE, PHOTO, *folders).strip().splitlines()[-1])
    photos, fill = map(Session, folders)
    answer = photos.run("classify_image", image=as_bytes(PHOTO.read_bytes()))
    assert labels == [[label.decode() for label in row] for row in answer["labels"]]
    answer = fill.run("fill_mask", text=as_bytes("m[MASK]ssing", b"[MASK]\xff"))
    assert texts == [text.decode() for text in answer["text"]]
    assert texts[1].endswith("\N{REPLACEMENT CHARACTER}")
    photos.close()
    fill.close()


@pytest.mark.slow
def test_saved_model_cli_runs_it(saved: Callable[[str], Path], tmp_path: Path) -> None:
    folder = saved("perceiver_masked_lm")
    program = "from tensorflow.python.tools.saved_model_cli import main; main()"
    command = [sys.executable, "-c", program, "run", "--dir", str(folder), "--tag_set", "serve"]
    command += ["--signature_def", "fill_mask", "--outdir", str(tmp_path)]
    command += ["--input_exprs", "text=['m[MASK]ssing']"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    session = Session(folder)
    answer = session.run("fill_mask", text=as_bytes("m[MASK]ssing"))
    session.close()
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), answer["scores"], rtol=1e-5)
    assert np.load(tmp_path / "num_masks.npy").tolist() == [1]
