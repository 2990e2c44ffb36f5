"""The base of processors of texts and images, with parts that only report what they got."""

from __future__ import annotations

import pytest

from tfzoo.core.fields import field
from tfzoo.hub import HubError
from tfzoo.preprocessing.multimodal import BaseProcessor
from tfzoo.preprocessing.processor import BaseImageProcessor, BatchFeature, find_settings


class Images(BaseImageProcessor):
    """One field, one result."""

    size: int = field(3, "Size.")

    def preprocess(self, images, settings, shared=None, return_tensors=None):
        return BatchFeature({"pixel_values": [settings.size, shared, return_tensors]})


class Texts:
    """Stands for a tokenizer."""

    model_input_names = ("input_ids",)

    def __call__(self, text, padding=False, shared=None, *, return_tensors=None):
        return {"input_ids": [padding, shared, return_tensors]}


class Both(BaseProcessor):
    """Pads by default, as some families do."""

    image_processor_class = Images
    tokenizer_classes = (Texts,)
    text_defaults = {"padding": "max_length"}

    def __call__(self, text=None, images=None, return_tensors=None, **kwargs):
        return self._prepare(text, images, return_tensors, kwargs)


def test_a_familys_defaults_and_the_callers_arguments():
    both = Both(Images(), Texts())
    assert both(text="a").input_ids == ["max_length", None, None]
    assert both(text="a", padding=True).input_ids == [True, None, None]
    assert both.model_input_names == ["pixel_values", "input_ids"]


def test_a_keyword_of_both_parts_reaches_both():
    features = Both(Images(), Texts())("a", "b", shared=1, size=2, return_tensors="np")
    assert features == {"pixel_values": [2, 1, "np"], "input_ids": ["max_length", 1, "np"]}


def test_unknown_keywords_are_listed_with_the_known():
    with pytest.raises(TypeError) as caught:
        Both(Images(), Texts())("a", sizes=3, Padding=True)
    assert str(caught.value) == (
        "Both got an unexpected keyword 'Padding', 'sizes'. Keywords for texts: padding, shared, "
        "return_tensors; for images or videos: size, shared, return_tensors."
    )


def test_keywords_come_in_dicts_for_a_part():
    both = Both(Images(), Texts())
    expected = {"pixel_values": [2, None, "np"], "input_ids": [True, 1, "np"]}
    text = {"padding": True, "shared": 1}
    common = {"return_tensors": "np"}
    for images in ("images_kwargs", "videos_kwargs"):
        call = {images: {"size": 2}, "text_kwargs": text, "common_kwargs": common}
        assert both("a", "b", **call) == expected
    assert both("a", "b", size=2, text_kwargs=text, return_tensors="np") == expected
    common = {"shared": 1, "return_tensors": "np"}
    expected = {"pixel_values": [3, 1, "np"], "input_ids": ["max_length", 1, "np"]}
    assert both("a", "b", common_kwargs=common, text_kwargs=None, images_kwargs={}) == expected


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"text_kwargs": {"size": 2}}, TypeError, "Both got an unexpected keyword 'size'"),
        ({"images_kwargs": {"padding": 2}}, TypeError, "unexpected keyword 'padding'"),
        ({"common_kwargs": {"a": 2}}, TypeError, "unexpected keyword 'a'"),
        ({"text_kwargs": "padding"}, TypeError, "text_kwargs must be a dict, got 'padding'"),
        ({"text_kwargs": {"padding": 1}, "padding": 1}, ValueError, "padding came twice"),
        ({"text_kwargs": {"shared": 1}, "shared": 1}, ValueError, "shared came twice"),
        (
            {"images_kwargs": {"size": 1}, "videos_kwargs": {"size": 1}},
            ValueError,
            "size came twice; give it once",
        ),
    ],
)
def test_wrong_dicts_are_refused(keywords, error, message):
    with pytest.raises(error, match=message):
        Both(Images(), Texts())("a", **keywords)


def test_the_cache_is_read_when_the_hub_is_out_of_reach(monkeypatch, tmp_path):
    (tmp_path / "processor_config.json").write_text('{"image_processor": {"size": 5}}')

    def resolve(name, file, options):
        if (tmp_path / file).exists():
            return tmp_path
        raise HubError(f"{file} is out of reach")

    monkeypatch.setattr("tfzoo.preprocessing.processor.resolve", resolve)
    assert find_settings("org/name") == (tmp_path / "processor_config.json", {"size": 5})
    (tmp_path / "processor_config.json").unlink()
    with pytest.raises(HubError, match=r"^preprocessor_config\.json is out of reach"):
        find_settings("org/name")
