"""OWLv2's and OWL-ViT's signatures: the host's boxes, scores and names, after suppression."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.support.endpoints import as_bytes, read, traced
from tests.support.owlv2_checkpoint import write_owlv2_checkpoint
from tests.support.pictures import PHOTOS, broken_files, turned
from tfzoo.export import ServingError, ServingOptions
from tfzoo.export.graph.detections import corners_in_pixels, detections
from tfzoo.models.owlv2.serving import endpoints
from tfzoo.preprocessing.boxes import suppress

QUERIES = ["a cat", "a spoon", "two dogs"]
OPTIONS = {"threshold": 0.05, "iou_threshold": 0.2, "max_detections": 20}
KINDS = ["Owlv2", "OwlViT"]


@pytest.fixture(scope="module", params=["Owlv2", pytest.param("OwlViT", marks=pytest.mark.slow)])
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Any]:
    """A detector whose boxes overlap and whose scores differ."""
    kind = request.param
    folder = write_owlv2_checkpoint(tmp_path_factory.mktemp(kind), kind=kind)
    model = getattr(tfzoo, f"TF{kind}ForObjectDetection").from_pretrained(folder)
    rng = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    return model, getattr(tfzoo, f"{kind}Processor").from_pretrained(folder)


@pytest.fixture(scope="module")
def baked(loaded: tuple[Any, Any]) -> Callable:
    return traced(*loaded, "detect_image", queries=QUERIES, **OPTIONS)


@pytest.fixture(scope="module")
def with_queries(loaded: tuple[Any, Any]) -> Callable:
    return traced(*loaded, "detect_image_with_queries", **OPTIONS)


@pytest.fixture(scope="module")
def encode(loaded: tuple[Any, Any]) -> Callable:
    return traced(*loaded, "encode_queries")


def on_host(loaded: tuple[Any, Any], file: bytes, queries: list[str] = QUERIES) -> dict[str, Any]:
    """What the documented calls find, and suppression among the boxes of each query."""
    model, processor = loaded
    image = tfzoo.read_image(file)
    inputs = processor(text=[queries], images=image, return_tensors="np")
    found = processor.post_process_object_detection(
        model(**inputs), OPTIONS["threshold"], [image.shape[:2]], clip=True
    )[0]
    boxes, scores, labels = found["boxes"], found["scores"], found["labels"]
    keep = [i for i, box in enumerate(boxes) if box[2] > box[0] and box[3] > box[1]]
    kept: list[int] = []
    for label in set(labels[keep].tolist()):
        own = np.array([i for i in keep if labels[i] == label])
        kept += own[suppress(boxes[own], scores[own], OPTIONS["iou_threshold"])].tolist()
    best = sorted(kept, key=lambda i: -scores[i])[: OPTIONS["max_detections"]]
    corners = boxes[best][:, [1, 0, 3, 2]]
    left = {"kept": len(best), "suppressed": len(keep) - len(best)}
    return {"boxes": corners, "scores": scores[best], "labels": labels[best], **left}


def agrees(answer: dict[str, np.ndarray], row: int, host: dict[str, Any]) -> None:
    """Compare one image's answer with the host's."""
    count = len(host["boxes"])
    assert answer["num_detections"][row] == count
    assert (answer["detection_classes"][row, :count] - 1).tolist() == host["labels"].tolist()
    np.testing.assert_allclose(answer["detection_boxes"][row, :count], host["boxes"], atol=0.05)
    np.testing.assert_allclose(answer["detection_scores"][row, :count], host["scores"], rtol=1e-4)


def test_boxes_equal_the_hosts(loaded: tuple[Any, Any], baked: Callable) -> None:
    files = read(*PHOTOS)
    answer = baked(image=files)
    assert answer["detection_boxes"].shape == (len(files), 20, 4)
    hosts = [on_host(loaded, file) for file in files]
    assert all(any(host[what] for host in hosts) for what in ("kept", "suppressed"))
    for row, host in enumerate(hosts):
        agrees(answer, row, host)
        names = [QUERIES[i].encode() for i in host["labels"]]
        count = len(names)
        assert answer["detection_class_names"][row].tolist() == names + [b""] * (20 - count)
        assert not answer["detection_boxes"][row, count:].any()
        assert not answer["detection_scores"][row, count:].any()
        assert (answer["detection_classes"][row, count:] == 0).all()
    assert len(set(answer["detection_classes"].ravel()) - {0}) > 1


def test_boxes_are_those_of_the_upright_image(loaded: tuple[Any, Any], baked: Callable) -> None:
    file = turned("JPEG", 6)
    agrees(baked(image=as_bytes(file)), 0, on_host(loaded, file))


def test_queries_as_input(
    loaded: tuple[Any, Any], encode: Callable, with_queries: Callable
) -> None:
    processor = loaded[1]
    ids = processor(text=[QUERIES], return_tensors="np").input_ids
    embeds = encode(input_ids=ids)["query_embeds"]
    files, orders = read(*PHOTOS[:2]), np.array([[0, 1, 2], [2, 1, 0]])
    names = np.array([as_bytes(*np.array(QUERIES)[order].tolist()) for order in orders])
    answer = with_queries(image=files, query_embeds=embeds[orders], query_names=names)
    for row, order in enumerate(orders):
        queries = [QUERIES[i] for i in order]
        host = on_host(loaded, files[row], queries)
        agrees(answer, row, host)
        found = answer["detection_class_names"][row, : len(host["labels"])]
        assert found.tolist() == [queries[i].encode() for i in host["labels"]]


def test_padded_queries_find_nothing(
    loaded: tuple[Any, Any], encode: Callable, with_queries: Callable, baked: Callable
) -> None:
    ids = loaded[1](text=[QUERIES], return_tensors="np").input_ids
    embeds = encode(input_ids=np.concatenate([ids, np.zeros_like(ids[:1])]))["query_embeds"]
    assert not embeds[3].any()
    names = as_bytes(*QUERIES, "never")[None]
    answer = with_queries(image=read(PHOTOS[0]), query_embeds=embeds[None], query_names=names)
    expected = baked(image=read(PHOTOS[0]))
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(answer[name], values, rtol=1e-4, atol=1e-4)
        else:
            assert answer[name].tolist() == values.tolist()
    none = with_queries(
        image=read(PHOTOS[0]), query_embeds=np.zeros_like(embeds[None]), query_names=names
    )
    assert none["num_detections"].tolist() == [0]


def test_queries_are_encoded_as_on_the_host(loaded: tuple[Any, Any], encode: Callable) -> None:
    model, processor = loaded
    bank = model.encode_queries(QUERIES, processor)
    ids = processor(text=[QUERIES], return_tensors="np").input_ids
    np.testing.assert_allclose(encode(input_ids=ids)["query_embeds"], bank.embeds, atol=1e-5)


def test_bad_requests_are_refused_and_the_next_is_answered(
    baked: Callable, with_queries: Callable, encode: Callable
) -> None:
    good = read(*PHOTOS[:2])
    first = baked(image=good)["detection_boxes"]
    for file, words in broken_files().values():
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            baked(image=as_bytes(good[0], file))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one image"):
        baked(image=good[:0])
    np.testing.assert_array_equal(baked(image=good)["detection_boxes"], first)
    embeds, names = np.ones((2, 2, 8), "float32"), np.array([as_bytes("a", "b")] * 2)
    for wrong in (
        {"query_names": names[:, :1]},
        {"query_names": names[:, :0], "query_embeds": embeds[:, :0]},
        {"query_names": names[:1], "query_embeds": embeds[:1]},
    ):
        asked = {"image": good, "query_embeds": embeds, "query_names": names, **wrong}
        with pytest.raises(tf.errors.InvalidArgumentError, match="queries for each image"):
            with_queries(**asked)
    with pytest.raises(tf.errors.InvalidArgumentError, match="query_embeds: expected finite"):
        with_queries(image=good, query_embeds=embeds * np.nan, query_names=names)
    for ids, words in (([[500]], "ids from 0 to"), ([[1] * 17], "at most 16"), ([[]], "at least")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            encode(input_ids=np.array(ids, "int64"))


def test_what_does_not_fit_is_refused(loaded: tuple[Any, Any]) -> None:
    model, processor = loaded
    options = ServingOptions(queries=QUERIES)
    images = type(processor.image_processor).__name__
    with pytest.raises(ServingError, match="pass the model's whole processor, got"):
        endpoints(model, processor.image_processor, options)
    with pytest.raises(ServingError, match=f"prepared by a {images}, got a PerceiverImage"):
        endpoints(model, tfzoo.PerceiverImageProcessor(), options)
    with pytest.raises(ServingError, match="does not fit the model.*32 x 32 pixels"):
        endpoints(model, type(processor.image_processor)(), ServingOptions())
    with pytest.raises(ServingError, match="queries: .*16"):
        endpoints(model, processor, ServingOptions(queries=["word " * 80]))
    with pytest.raises(ServingError, match="has no signature.*ForObjectDetection"):
        endpoints(model.base, processor, options)


# ---- what is found
def found(logits: Any, boxes: Any, **options: Any) -> dict[str, Any]:
    """`detections` of one image, as lists."""
    names = tf.constant([[f"class {i}" for i in range(len(logits[0]))]])
    answer = detections(
        tf.constant([logits]), tf.constant([boxes], tf.float32), names, ServingOptions(**options)
    )
    return {name: value.numpy()[0].tolist() for name, value in answer.items()}


def test_boxes_of_different_classes_may_overlap() -> None:
    boxes = [[0, 0, 9, 9]] * 3
    answer = found([[3.0, 0.0], [2.0, 1.0], [0.0, 1.0]], boxes, max_detections=4)
    assert answer["detection_classes"] == [1, 2, 0, 0]
    assert answer["num_detections"] == 2


def test_a_box_has_its_best_class_alone() -> None:
    answer = found([[3.0, 2.9]], [[0, 0, 9, 9]], max_detections=3)
    assert answer["detection_class_names"] == [b"class 0", b"", b""]


def test_thresholds() -> None:
    boxes = [[0, 0, 10, 10], [0, 5, 10, 15], [50, 50, 60, 60]]  # the first two share a third
    logits = [[2.0], [1.0], [0.0]]
    assert found(logits, boxes, iou_threshold=0.34)["num_detections"] == 3
    assert found(logits, boxes, iou_threshold=0.33)["num_detections"] == 2
    assert found(logits, boxes, iou_threshold=1.0)["num_detections"] == 3
    assert found(logits, boxes, threshold=0.5, iou_threshold=1.0)["num_detections"] == 2
    assert found(logits, boxes, threshold=1.0)["num_detections"] == 0
    best = found(logits, boxes, max_detections=1)
    assert best["detection_boxes"] == [[0, 0, 10, 10]]


def test_boxes_without_area_are_left_out() -> None:
    answer = found([[2.0], [1.0]], [[3, 3, 3, 9], [0, 0, 1, 1]], max_detections=1)
    assert answer["detection_boxes"] == [[0, 0, 1, 1]]


@pytest.mark.parametrize("kind", KINDS)
def test_places_equal_the_hosts(kind: str) -> None:
    rng = np.random.default_rng(0)
    boxes, sizes = rng.random((2, 50, 4)).astype("float32"), [(480, 640), (37, 20)]
    processor = getattr(tfzoo, f"{kind}ImageProcessor")()
    outputs = SimpleNamespace(logits=np.ones((2, 50, 1), "float32"), pred_boxes=boxes)
    host = processor.post_process_object_detection(outputs, 0.0, sizes, clip=True)
    got = corners_in_pixels(tf.constant(boxes), tf.constant(sizes), processor.square_canvas)
    expected = np.stack([one["boxes"] for one in host])[..., [1, 0, 3, 2]]
    np.testing.assert_allclose(got, expected, atol=1e-4)
