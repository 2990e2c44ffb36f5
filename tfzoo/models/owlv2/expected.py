"""OWLv2's and OWL-ViT's known answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from tfzoo.modeling.expected import Answer, Number
from tfzoo.registry import import_name

__all__ = ["ANSWERS"]

_TEXTS = ["a photo of a cat", "a photo of a dog"]
_BOXES = np.s_[0, :3, :3]
Size = tuple[int, int]


def _encoded(
    kind: str, load: Callable[..., Any], image: np.ndarray, size: Size | None, **what: Any
) -> dict[str, Any]:
    """An image as OWL-ViT prepares it, without padding, by the settings of either checkpoint."""
    settings = load(f"{kind}ImageProcessor").to_dict()
    if size is not None:
        settings["size"] = {"height": size[0], "width": size[1]}
    images_class = import_name("OwlViTImageProcessor")
    shared = {k: v for k, v in settings.items() if k in images_class.field_names()}
    processor = import_name("OwlViTProcessor")(images_class(**shared), load("CLIPTokenizerFast"))
    return processor(images=image, return_tensors="np", **what)


def _outputs(
    model: str, size: Size | None, load: Callable[..., Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    kind = "Owlv2" if "Owlv2" in model else "OwlViT"
    encoded = _encoded(kind, load, inputs["cats"], size, text=[_TEXTS], max_length=16)
    return load(model)(**encoded, interpolate_pos_encoding=size is not None)


def _guided(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The image is looked for in itself."""
    encoded = _encoded("Owlv2", load, inputs["cats"], None, query_images=inputs["cats"])
    return load("TFOwlv2ForObjectDetection").image_guided_detection(**encoded)


def _in_pixels(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    processor, model = load("Owlv2Processor"), load("TFOwlv2ForObjectDetection")
    outputs = model(**processor(images=inputs["cats"], text=[["cat"]], return_tensors="np"))
    found = processor.post_process_object_detection(
        outputs, threshold=0.2, target_sizes=[inputs["cats"].shape[:2]]
    )
    return {"boxes": found[0]["boxes"]}


def _pixels(load: Callable[..., Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    processor = import_name("Owlv2ImageProcessor")
    return {
        f"mean with {name} padding": np.mean(
            processor(pad_value=value)(inputs["cats"], return_tensors="np").pixel_values
        )
        for name, value in (("grey", 0.5), ("black", 0.0))
    }


def _answer(name: str, model: str, size: Size | None, what: str, *numbers: Number) -> Answer:
    sized = f", at {size[0]} x {size[1]} pixels" if size else ""
    return Answer(
        f"google/{name}", what + sized, partial(_outputs, model, size), numbers, ("cats",)
    )


def _scores(name: str, kind: str, size: Size | None, *values: float) -> Answer:
    number = Number("logits_per_image", (values,), shape=(1, 2), tolerance=1e-3)
    return _answer(name, f"TF{kind}Model", size, "an image beside two texts", number)


def _boxes(name: str, kind: str, size: Size | None, *numbers: Number) -> Answer:
    title = "where two texts are in an image"
    return _answer(name, f"TF{kind}ForObjectDetection", size, title, *numbers)


def _places(*rows: tuple[float, ...], shape: tuple[int, ...] | None = None) -> Number:
    return Number("pred_boxes", rows, _BOXES, shape)


_LOGITS = Number(
    "logits",
    ((-21.413497, -21.612638), (-19.008193, -19.548841), (-20.958896, -21.382694)),
    _BOXES,
)
_OWLV2, _OWLVIT = "owlv2-base-patch16", "owlvit-base-patch32"

ANSWERS = (
    Answer(
        "",
        "Owlv2ImageProcessor: the mean of an image's pixels (grey until transformers 4, black "
        "since 5; tfzoo's default is grey)",
        _pixels,
        (
            Number("mean with grey padding", 0.2353),
            Number("mean with black padding", -0.2303),
        ),
        ("cats",),
    ),
    _scores(_OWLV2, "Owlv2", None, -6.2229, -8.2601),
    _scores(_OWLV2, "Owlv2", (1024, 1024), -6.2520, -8.2970),
    _boxes(
        _OWLV2,
        "Owlv2",
        None,
        _LOGITS,
        _places(
            (0.241309, 0.051896, 0.453267),
            (0.139474, 0.045701, 0.250660),
            (0.233022, 0.050479, 0.427671),
            shape=(1, 3600, 4),
        ),
    ),
    _boxes(
        _OWLV2,
        "Owlv2",
        (1024, 1024),
        _places((0.2407, 0.0553, 0.4636), (0.1082, 0.0494, 0.1861), (0.2459, 0.0527, 0.4398)),
    ),
    _boxes(
        _OWLV2,
        "Owlv2",
        (1264, 1024),
        _places((0.2438, 0.0945, 0.4675), (0.1361, 0.0431, 0.2406), (0.2465, 0.0428, 0.4429)),
    ),
    Answer(
        f"google/{_OWLV2}",
        "an image looked for in itself",
        _guided,
        (
            Number(
                "target_pred_boxes",
                ((0.2413, 0.0519, 0.4533), (0.1395, 0.0457, 0.2507), (0.2330, 0.0505, 0.4277)),
                _BOXES,
                (1, 3600, 4),
            ),
        ),
        ("cats",),
    ),
    Answer(
        f"google/{_OWLV2}-ensemble",
        "the cats in an image, in pixels",
        _in_pixels,
        (
            Number(
                "boxes",
                ((341.67, 23.39, 642.32, 371.35), (6.75, 51.96, 326.62, 473.13)),
                tolerance=0.1,
            ),
        ),
        ("cats",),
    ),
    _scores(_OWLVIT, "OwlViT", None, 3.4612, 0.9404),
    _scores(_OWLVIT, "OwlViT", (800, 800), 3.6282, 0.8859),
    _boxes(
        _OWLVIT,
        "OwlViT",
        None,
        _places(
            (0.0691, 0.0445, 0.1374),
            (0.1592, 0.0456, 0.3191),
            (0.1636, 0.0423, 0.2489),
            shape=(1, 576, 4),
        ),
    ),
    _boxes(
        _OWLVIT,
        "OwlViT",
        (800, 800),
        Number("pred_boxes", (0.0679, 0.0422, 0.1347), np.s_[0, 0, :3], (1, 625, 4)),
    ),
)
