"""The rows of known answers, computed by the reference in its own words on the same checkpoints.

Each function below does what the reference's test does that published the numbers; small
checkpoints stand for the published ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support import reference
from tests.support.compare import assert_same
from tests.support.published_checkpoints import write_inputs, write_stand_ins
from tfzoo.modeling.expected import Answer, Sources, answers_of
from tfzoo.registry import families

torch, transformers = reference.torch, reference.transformers
Files = Mapping[str, Path]
TEXTS = [["a photo of a cat", "a photo of a dog"]]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("published")
    return Sources(write_stand_ins(folder / "checkpoints"), write_inputs(folder / "inputs"))


def model(name: str, folder: Path) -> Any:
    return reference.load_strictly(name, folder)


def part(name: str, folder: Path) -> Any:
    """A model whose checkpoint holds more."""
    return reference.model_class(name).from_pretrained(folder).eval()


def photo(files: Files, name: str = "cats") -> Image.Image:
    return Image.open(files[name]).convert("RGB")


def lxmert(folder: Path, files: Files) -> dict[str, Any]:
    np.random.seed(0)
    feats = torch.tensor(np.random.rand(1, 10, 2048), dtype=torch.float32)
    np.random.seed(0)
    boxes = torch.tensor(np.random.rand(1, 10, 4), dtype=torch.float32)
    ids = torch.tensor([[101, 345, 232, 328, 740, 140, 1695, 69, 6078, 1588, 102]])
    output = part("LxmertModel", folder)(ids, visual_feats=feats, visual_pos=boxes)[0]
    return {"language_output": output}


def timesformer(folder: Path, files: Files) -> dict[str, Any]:
    half = [0.5, 0.5, 0.5]
    processor = transformers.VideoMAEImageProcessor(image_mean=half, image_std=half)
    pixels = processor(list(np.load(files["spaghetti"]))[:8], return_tensors="pt").pixel_values
    return model("TimesformerForVideoClassification", folder)(pixels)


def xclip(folder: Path, files: Files) -> dict[str, Any]:
    frames = list(np.load(files["spaghetti8"]))
    processor = transformers.VideoMAEImageProcessor.from_pretrained(folder)
    tokenizer = transformers.CLIPTokenizerFast.from_pretrained(folder)
    texts = ["playing sports", "eating spaghetti", "go shopping"]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    pixels = processor(frames, return_tensors="pt")
    return model("XCLIPModel", folder)(**encoded, **pixels)


def xclip_small(folder: Path, files: Files) -> dict[str, Any]:
    frames = list(np.load(files["spaghetti8"]))
    size = {"size": 180, "crop_size": {"height": 180, "width": 180}}
    processor = transformers.VideoMAEImageProcessor.from_pretrained(folder, **size)
    tokenizer = transformers.CLIPTokenizerFast.from_pretrained(folder)
    encoded = tokenizer("what's in the video", return_tensors="pt")
    pixels = processor(frames, return_tensors="pt")
    output = model("XCLIPModel", folder)(**encoded, **pixels, interpolate_pos_encoding=True)
    states = output.vision_model_output.last_hidden_state
    return {"vision_model_output.last_hidden_state": states}


def owl(name: str, size: tuple[int, int] | None, folder: Path, files: Files) -> dict[str, Any]:
    processor = transformers.OwlViTProcessor.from_pretrained(folder, use_fast=False)
    if size:
        processor.image_processor.size = {"height": size[0], "width": size[1]}
    padding = {"max_length": 16, "padding": "max_length"}
    encoded = processor(text=TEXTS, images=photo(files), return_tensors="pt", **padding)
    return part(name, folder)(**encoded, interpolate_pos_encoding=size is not None)


def owl_guided(folder: Path, files: Files) -> dict[str, Any]:
    processor = transformers.OwlViTProcessor.from_pretrained(folder, use_fast=False)
    images = {"images": photo(files), "query_images": photo(files)}
    encoded = processor(**images, return_tensors="pt")
    return part("Owlv2ForObjectDetection", folder).image_guided_detection(**encoded)


def owl_pixels(folder: Path, files: Files) -> dict[str, Any]:
    processor = transformers.Owlv2Processor.from_pretrained(folder, use_fast=False)
    picture = photo(files)
    encoded = processor(text=[["cat"]], images=[picture], return_tensors="pt")
    outputs = part("Owlv2ForObjectDetection", folder)(**encoded)
    found = processor.image_processor.post_process_object_detection(
        outputs, threshold=0.2, target_sizes=[picture.size[::-1]]
    )
    return {"boxes": found[0]["boxes"]}


class BlackPadding(transformers.Owlv2ImageProcessor):
    """As transformers 5: black instead of grey below and beside the picture."""

    def pad(self, image: np.ndarray, *_: Any, **__: Any) -> np.ndarray:
        height, width = image.shape[:2]
        side = max(height, width)
        return np.pad(image, ((0, side - height), (0, side - width), (0, 0)))


def owl_means(folder: Path, files: Files) -> dict[str, Any]:
    grey, black = (
        processor()(photo(files), return_tensors="np").pixel_values.mean()
        for processor in (transformers.Owlv2ImageProcessor, BlackPadding)
    )
    return {"mean with grey padding": grey, "mean with black padding": black}


def masked_bytes(folder: Path, files: Files) -> dict[str, Any]:
    tokenizer = transformers.PerceiverTokenizer.from_pretrained(folder)
    text = "This is an incomplete sentence where some words are missing."
    encoded = tokenizer(text, padding="max_length", return_tensors="pt")
    encoded.input_ids[0, 52:61] = tokenizer.mask_token_id
    logits = model("PerceiverForMaskedLM", folder)(
        inputs=encoded.input_ids, attention_mask=encoded.attention_mask
    ).logits
    return {"logits": logits, "ids of the hidden bytes": logits[0, 52:61].argmax(dim=-1)}


def image_class(kind: str, folder: Path, files: Files) -> dict[str, Any]:
    pixels = transformers.PerceiverImageProcessor()(photo(files), return_tensors="pt").pixel_values
    return model(f"PerceiverForImageClassification{kind}", folder)(inputs=pixels)


def flow(folder: Path, files: Files) -> dict[str, Any]:
    oracle = model("PerceiverForOpticalFlow", folder)
    image = torch.tensor(np.moveaxis(np.array(photo(files, "sintel")) / 255.0 * 2 - 1, -1, 0))
    height, width = oracle.config.train_size
    both = torch.stack([image, image])[..., :height, :width]
    shifted = torch.nn.functional.unfold(both, kernel_size=3, padding=1)
    patches = shifted.reshape(2, 3, 9, height, width).transpose(1, 2)
    return oracle(inputs=patches.reshape(1, 2, 27, height, width).float())


def tvp(name: str, folder: Path, files: Files) -> dict[str, Any]:
    processor = transformers.TvpImageProcessor.from_pretrained(folder)
    pixels = processor(images=photo(files), return_tensors="pt").pixel_values
    ones = torch.tensor([[1, 1]])
    return part(name, folder)(
        input_ids=torch.tensor([[1, 2]]), pixel_values=pixels, attention_mask=ones
    )


OWLV2, OWLVIT = "Owlv2ForObjectDetection", "OwlViTForObjectDetection"
# In the order of the families' rows.
REFERENCE: dict[str, tuple[Callable[..., Any], ...]] = {
    "lxmert": (lxmert,),
    "timesformer": (timesformer,),
    "xclip": (xclip, xclip_small),
    "owlv2": (
        owl_means,
        partial(owl, "Owlv2Model", None),
        partial(owl, "Owlv2Model", (1024, 1024)),
        partial(owl, OWLV2, None),
        partial(owl, OWLV2, (1024, 1024)),
        partial(owl, OWLV2, (1264, 1024)),
        owl_guided,
        owl_pixels,
        partial(owl, "OwlViTModel", None),
        partial(owl, "OwlViTModel", (800, 800)),
        partial(owl, OWLVIT, None),
        partial(owl, OWLVIT, (800, 800)),
    ),
    "perceiver": (
        masked_bytes,
        partial(image_class, "Learned"),
        partial(image_class, "Fourier"),
        partial(image_class, "ConvProcessing"),
        flow,
    ),
    "tvp": (partial(tvp, "TvpModel"), partial(tvp, "TvpForVideoGrounding")),
}
ROWS = [
    pytest.param(answer, theirs, id=f"{family}-{answer.name}")
    for family, functions in REFERENCE.items()
    for answer, theirs in zip(answers_of(family), functions, strict=True)
]


def test_every_family_is_compared() -> None:
    assert sorted(REFERENCE) == [family.name for family in families()]


@pytest.mark.parametrize(("answer", "theirs"), ROWS)
def test_rows_do_what_the_reference_does(
    answer: Answer, theirs: Callable[..., Any], stand_ins: Sources
) -> None:
    ours = stand_ins.outputs(answer)
    folder = stand_ins.folders.get(answer.checkpoint, Path())
    with torch.no_grad():
        expected = theirs(folder, stand_ins.files)
    for number in answer.numbers:
        want = np.asarray(expected[number.output])
        assert math.isfinite(float(np.abs(want).sum()))
        assert_same(np.asarray(ours[number.output]), {"": want}, what=str(number))
