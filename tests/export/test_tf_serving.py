"""A real TensorFlow Serving: `python -m pytest -m tf_serving`, see `tests/support/serve_models.py`.

Set TF_SERVING_URL (REST, e.g. http://localhost:8501), TF_SERVING_MODELS (the folder that the server
reads its models from) and, where gRPC has another port than 8500 on the same host, TF_SERVING_GRPC
(e.g. localhost:9000).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.export.test_warmup import requests
from tests.support.served import SERVED
from tfzoo.export.saved_model import read_signatures

pytestmark = pytest.mark.tf_serving


@pytest.fixture(scope="module")
def url() -> str:
    """Of the server's REST interface."""
    return os.environ["TF_SERVING_URL"].rstrip("/")


@pytest.fixture(scope="module")
def models() -> Path:
    """The folder that the server reads."""
    return Path(os.environ["TF_SERVING_MODELS"])


def call(url: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """Status and answer of one request."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def as_json(value: np.ndarray) -> Any:
    """An input as REST takes it: bytes in base64."""
    if value.dtype != object:
        return value.tolist()
    if value.ndim:
        return [as_json(item) for item in np.asarray(value, object)]
    return {"b64": base64.b64encode(value.item()).decode()}


def examples(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """The warm-up request of each signature."""
    return {
        name: {k: tf.make_ndarray(v) for k, v in log.predict_log.request.inputs.items()}
        for name, log in requests(folder).items()
    }


def expected(folder: Path, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the SavedModel answers in this process."""
    signature = tf.saved_model.load(str(folder)).signatures[name]
    outputs = signature(**{k: tf.constant(v) for k, v in inputs.items()})
    return {k: v.numpy() for k, v in outputs.items()}


def assert_same(have: Any, want: np.ndarray) -> None:
    if want.dtype == object:
        texts = np.vectorize(lambda text: text.decode(), otypes=[object])(want)
        assert np.asarray(have, object).tolist() == texts.tolist()
        return
    scale = max(float(np.abs(want).max(initial=0.0)), 1e-6)
    np.testing.assert_allclose(np.asarray(have, "float64"), want, atol=1e-4 * scale)


def newest(models: Path, name: str) -> Path:
    return max((models / name).iterdir(), key=lambda folder: int(folder.name))


@pytest.mark.parametrize("name", SERVED)
def test_rest(name: str, url: str, models: Path) -> None:
    folder = newest(models, name)
    for signature, inputs in examples(folder).items():
        columns = {key: as_json(value) for key, value in inputs.items()}
        body = {"signature_name": signature, "inputs": columns}
        status, answer = call(f"{url}/v1/models/{name}:predict", body)
        assert status == 200, answer
        want, outputs = expected(folder, signature, inputs), answer["outputs"]
        if len(want) == 1:  # REST leaves the name of a single output out
            outputs = {next(iter(want)): outputs}
        assert set(outputs) == set(want)
        for key, value in want.items():
            assert_same(outputs[key], value)


@pytest.mark.parametrize("name", SERVED)
def test_grpc(name: str, url: str, models: Path) -> None:
    import grpc
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    address = os.environ.get("TF_SERVING_GRPC", f"{urllib.parse.urlsplit(url).hostname}:8500")
    folder = newest(models, name)
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for signature, log in requests(folder).items():
            answer = stub.Predict(log.predict_log.request, timeout=120)
            inputs = examples(folder)[signature]
            for key, want in expected(folder, signature, inputs).items():
                have = tf.make_ndarray(answer.outputs[key])
                assert have.dtype == want.dtype
                if want.dtype == object:
                    assert have.tolist() == want.tolist()
                else:
                    assert_same(have, want)


@pytest.mark.parametrize("name", SERVED)
def test_server_knows_the_signatures(name: str, url: str, models: Path) -> None:
    status, answer = call(f"{url}/v1/models/{name}/metadata")
    assert status == 200
    known = answer["metadata"]["signature_def"]["signature_def"]
    known = {key: value for key, value in known.items() if not key.startswith("__")}
    for signature, (inputs, outputs) in read_signatures(newest(models, name)).items():
        assert set(known[signature]["inputs"]) == set(inputs)
        assert set(known[signature]["outputs"]) == set(outputs)


def test_bad_requests_hurt_nobody_else(url: str, models: Path) -> None:
    address = f"{url}/v1/models/timesformer:predict"
    frames = examples(newest(models, "timesformer"))["classify_frames"]["frames"]

    def ask(frames: np.ndarray) -> tuple[int, dict[str, Any]]:
        return call(address, {"signature_name": "classify_frames", "inputs": as_json(frames)})

    for bad in (b"no image", frames[0, 0][: len(frames[0, 0]) // 2], b""):
        wrong = frames.copy()
        wrong[0, 1] = bad
        status, answer = ask(wrong)
        assert status == 400, answer
        assert answer["error"]
        assert ask(frames)[0] == 200
    status, answer = call(address, {"signature_name": "nonsense", "inputs": []})
    assert status in (400, 404)
    assert ask(frames)[0] == 200


def test_new_versions_are_taken_up(url: str, models: Path) -> None:
    base = models / "timesformer"
    last = newest(models, "timesformer")
    new = base / str(int(last.name) + 1)
    shutil.copytree(last, base / f".{new.name}.copy")
    (base / f".{new.name}.copy").rename(new)
    try:
        for _ in range(60):
            status, answer = call(f"{url}/v1/models/timesformer/versions/{new.name}")
            states = [row["state"] for row in answer.get("model_version_status", ())]
            if status == 200 and states == ["AVAILABLE"]:
                return
            time.sleep(1)
        pytest.fail(f"version {new.name} is not served after a minute: {answer}")
    finally:
        shutil.rmtree(new)
