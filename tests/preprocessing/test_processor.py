"""What all processors share: fields, files, results."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import tfzoo
from tfzoo.core.fields import field
from tfzoo.hub import HubError
from tfzoo.preprocessing.processor import (
    BaseImageProcessor,
    BatchFeature,
    filter_field,
    find_settings,
    number_field,
    pair_field,
    per_channel_field,
    switch_field,
)

FILE = "preprocessor_config.json"


class Doubler(BaseImageProcessor):
    """The smallest processor that does something."""

    accepted_types = ("OldDoubler",)

    factor: float = field(2, "What values are multiplied by.")
    sizes: list[int] | None = field([1], "Sizes.", convert=list, optional=True)
    offset: float = field(0, "What is added.", keyword_only=True)

    def preprocess(self, values, settings, return_tensors=None, *, rng=None):
        """Double.

        Args:
            settings: Fields.
        """
        data = {"pixel_values": [v * settings.factor + settings.offset for v in values]}
        return BatchFeature(data, return_tensors)


def write(folder, **values):
    (folder / FILE).write_text(json.dumps(values))
    return folder


def test_fields_are_the_constructors_arguments():
    assert Doubler.field_names() == ("factor", "sizes", "offset")
    expected = {"factor": 2, "sizes": [1], "offset": 0, "image_processor_type": "Doubler"}
    assert Doubler().to_dict() == Doubler(sizes=None).to_dict() == expected
    assert repr(Doubler(3, (4,))) == "Doubler(factor=3, sizes=[4], offset=0)"
    assert str(inspect.signature(Doubler)) == (
        "(factor: 'float' = 2, sizes: 'list[int] | None' = None, *, offset: 'float' = 0, "
        "**kwargs: 'Any')"
    )
    assert "\n    sizes: Sizes. Default [1].\n" in Doubler.__doc__
    with pytest.raises(TypeError, match="at most 2 positional arguments"):
        Doubler(3, [4], 5)


def test_fields_are_arguments_of_a_call():
    assert str(inspect.signature(Doubler.preprocess)) == (
        "(self, values, factor: 'float | None' = None, sizes: 'list[int] | None' = None, "
        "return_tensors=None, *, offset: 'float | None' = None, rng=None)"
    )
    assert "    factor, sizes, offset: Fields.\n" in Doubler.preprocess.__doc__
    with pytest.raises(TypeError, match="unexpected keyword argument 'factr'"):
        Doubler()([1], factr=3)

    class Silent(Doubler):
        call_fields = ("offset", "factor")

    names = list(inspect.signature(Silent.preprocess).parameters)
    assert names == ["self", "values", "factor", "return_tensors", "offset", "rng"]
    assert Silent(sizes=[5])([1], 3).pixel_values == [3]


def test_values_are_not_shared_with_the_caller():
    sizes = [4]
    processor = Doubler(sizes=sizes)
    sizes.append(5)
    assert processor.sizes == [4]
    processor.to_dict()["sizes"].append(6)
    assert processor.sizes == [4]


def test_a_call_is_preprocess_and_its_arguments_win():
    assert Doubler()([1, 2]).pixel_values == [2, 4]
    assert Doubler().preprocess([1, 2], factor=5).pixel_values == [5, 10]
    assert Doubler(offset=1).preprocess([1, 2], 5).pixel_values == [6, 11]


PROCESSORS = [
    (name, do_resize)
    for name in sorted(dir(tfzoo))
    if name.endswith("ImageProcessor") and name != "AutoImageProcessor"
    for do_resize in (True, False)
]


@pytest.mark.parametrize(("name", "do_resize"), PROCESSORS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite(name, do_resize, value):
    image = np.full((2, 40, 50, 3), 0.5, np.float32)
    image[1, 3, 4, 0] = value
    processor = getattr(tfzoo, name)(do_resize=do_resize)
    with pytest.raises(ValueError, match="(image|frame) 1: expected finite pixels, got NaN or inf"):
        processor(list(image), do_rescale=False, return_tensors="np")


def test_the_base_class_alone_does_nothing():
    with pytest.raises(TypeError, match="BaseImageProcessor is a base class"):
        BaseImageProcessor()([1])


def test_a_file_wins_over_defaults_and_overrides_over_the_file(tmp_path):
    write(tmp_path, factor=7, sizes=[8], image_processor_type="Doubler")
    for name in (tmp_path, str(tmp_path), tmp_path / FILE):
        assert Doubler.from_pretrained(name).factor == 7
    processor = Doubler.from_pretrained(tmp_path, factor=9)
    assert (processor.factor, processor.sizes) == (9, [8])


def test_unknown_keys_of_a_file_are_kept(tmp_path):
    write(tmp_path, note="kept", processor_class="SomeProcessor")
    processor = Doubler.from_pretrained(tmp_path, note="changed")
    assert processor.note == "changed"
    assert processor.to_dict()["processor_class"] == "SomeProcessor"


def test_what_is_written_is_read_again(tmp_path):
    processor = Doubler(factor=np.float32(0.5), sizes=np.array([3, 4]), note="kept")
    path = processor.save_pretrained(tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / FILE
    again = Doubler.from_pretrained(path.parent)
    assert again.to_dict() == processor.to_dict()
    assert again.sizes == [3, 4]
    assert [file.name for file in path.parent.iterdir()] == [FILE]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    Doubler().save_pretrained(tmp_path)
    before = (tmp_path / FILE).read_text()
    with pytest.raises(TypeError, match="fields must be plain values, got object"):
        Doubler(factor=object()).save_pretrained(tmp_path)
    assert (tmp_path / FILE).read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("key", ["image_processor_type", "feature_extractor_type"])
def test_the_class_that_a_file_names(tmp_path, key):
    for name in ("Doubler", "OldDoubler"):
        processor = Doubler.from_pretrained(write(tmp_path, **{key: name}))
        assert processor.to_dict()["image_processor_type"] == "Doubler"
    write(tmp_path, **{key: "Tripler"})
    with pytest.raises(ValueError, match=rf"{FILE}: expected .* Doubler or OldDoubler.*Tripler"):
        Doubler.from_pretrained(tmp_path)


def test_an_override_that_is_not_a_field(tmp_path):
    with pytest.raises(TypeError, match="has no field 'factr'; it has factor, sizes, offset"):
        Doubler.from_pretrained(write(tmp_path), factr=3)


@pytest.mark.parametrize("name", ["preprocess", "to_dict", "_check", "__class__", "fields"])
def test_a_key_with_the_name_of_a_method(tmp_path, name):
    with pytest.raises(ValueError, match=f"{FILE}: Doubler cannot keep a value named '{name}'"):
        Doubler.from_pretrained(write(tmp_path, **{name: 1}))
    assert Doubler.from_pretrained(write(tmp_path, self=1)).to_dict()["self"] == 1


def test_the_settings_of_a_whole_processor_are_not_kept(tmp_path):
    """What asks a processor for its part `image_processor` or `tokenizer` would find them."""
    for name in ("image_processor", "tokenizer"):
        with pytest.raises(ValueError, match=f"{FILE}: Doubler has no {name}"):
            Doubler.from_pretrained(write(tmp_path, **{name: 1}))
    assert Doubler.from_pretrained(write(tmp_path, image_processor={"factor": 4})).factor == 4


class Every(BaseImageProcessor):
    """One field of each kind."""

    do_resize: bool = switch_field(True, "Whether.")
    size: dict | None = pair_field(8)
    resample: int = filter_field(2, "Filter.")
    rescale_factor: float = number_field(0.5, "Factor.")
    image_mean: list | None = per_channel_field((0.5, 0.5, 0.5))

    def preprocess(self, images, settings):
        return BatchFeature({"settings": [settings]})


WRONG = {
    "do_resize": ["yes", 1, [True]],
    "size": [0, -1, True, 10**9, 2**14 + 1, 2.5, "8", [1, 2, 3], {"height": 8}, {"edge": 3}, {}],
    "resample": [6, -1, "bilinear", None, True, 2.0],
    "rescale_factor": ["a", None, float("nan"), float("inf"), 10**400, [0.5], True],
    "image_mean": ["0.5", ["a"], [], [[0.5]], [None], float("nan"), {"r": 1}, [1, [2]], 10**400],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_impossible_values(tmp_path, name, value):
    with pytest.raises(ValueError, match=f"{FILE}: .*{name}"):
        Every.from_pretrained(write(tmp_path, **{name: value}))
    if value is not None:
        with pytest.raises(ValueError, match=name):
            Every()([1], **{name: value})


def test_possible_values():
    for name, value in {
        "do_resize": None,
        "size": {"height": 3, "width": 4, "shortest_edge": None},
        "resample": np.int64(3),
        "rescale_factor": np.float32(0.5),
        "image_mean": np.array([1, 2, 3]),
    }.items():
        Every(**{name: value})


def video_settings(**more):
    return {"video_processor_type": "DoublerVideoProcessor", "factor": 7, **more}


class Filmed(Doubler):
    """Its settings may be those of a class for videos."""

    accepted_types = ("DoublerVideoProcessor",)


def test_the_files_of_transformers_5(tmp_path):
    """A section of processor_config.json counts most, then the old file, then the new one."""
    contents = {
        "video_preprocessor_config.json": video_settings(),
        FILE: {"image_processor_type": "FilmedFast", "factor": 5},
        "processor_config.json": {"processor_class": "P", "video_processor": video_settings()},
    }
    for number, (name, values) in enumerate(contents.items()):
        (tmp_path / name).write_text(json.dumps(values))
        path, found = find_settings(tmp_path)
        assert path.name == list(contents)[number]
        assert found == values.get("video_processor", values)
        assert Filmed.from_pretrained(tmp_path).factor == found["factor"]
        assert Filmed.from_pretrained(tmp_path / name).factor == found["factor"]
    (tmp_path / "processor_config.json").write_text('{"processor_class": "P"}')
    assert find_settings(tmp_path)[0].name == FILE
    Filmed(factor=9).save_pretrained(tmp_path)
    video = json.loads((tmp_path / "video_preprocessor_config.json").read_text())
    assert video == video_settings(factor=9, sizes=[1], offset=0)
    combined = {"processor_class": "P", "image_processor": {"factor": 1}, "rest": 2}
    (tmp_path / "processor_config.json").write_text(json.dumps(combined))
    Filmed(factor=3).save_pretrained(tmp_path, processor_class="Q")
    combined = json.loads((tmp_path / "processor_config.json").read_text())
    assert (combined["processor_class"], combined["rest"]) == ("Q", 2)
    assert combined["image_processor"]["factor"] == 3
    with pytest.raises(ValueError, match="got one of class DoublerVideoProcessor"):
        Doubler.from_dict(video_settings())
    with pytest.raises(ValueError, match=r"expected the name of a class, got \[5\]"):
        Doubler.from_dict({"image_processor_type": [5]})


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_a_file_that_is_not_a_json_object(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=FILE):
        Doubler.from_pretrained(tmp_path)


def test_a_folder_without_the_file(tmp_path):
    with pytest.raises(HubError, match=FILE):
        Doubler.from_pretrained(tmp_path)


def test_a_result_is_a_dict_with_attributes():
    features = BatchFeature({"a": [1, 2], "b": [[3]]})
    assert features.a == features["a"] == [1, 2]
    assert dict(**features) == {"a": [1, 2], "b": [[3]]}
    assert list(features) == ["a", "b"]
    with pytest.raises(AttributeError, match="BatchFeature has no 'c'"):
        _ = features.c
    with pytest.raises(KeyError):
        features["c"]


def test_a_result_can_be_copied_and_sent():
    features = BatchFeature({"a": [1, 2]}, "np")
    for again in (
        copy.deepcopy(features),
        copy.copy(features),
        pickle.loads(pickle.dumps(features)),
    ):
        assert isinstance(again, BatchFeature)
        np.testing.assert_array_equal(again.a, [1, 2])


def test_results_become_arrays_or_tensors():
    from keras import ops

    arrays = BatchFeature({"a": [np.ones((2, 3), np.float32)] * 4}, "np")
    assert arrays.a.shape == (4, 2, 3)
    assert arrays.a.dtype == np.float32
    tensors = BatchFeature({"a": arrays.a}).convert_to("tf")
    assert ops.is_tensor(tensors.a)
    np.testing.assert_array_equal(ops.convert_to_numpy(tensors.a), arrays.a)


@pytest.mark.parametrize("kind", ["np", "tf", None])
def test_results_go_to_a_device_and_a_dtype(kind):
    made = {"x": np.ones((1, 2), "float32"), "ids": np.ones((1, 2), "int64")}
    for given in (("float16",), ("cuda:0", np.float16), (0, "float16"), ("float16", "cpu")):
        features = BatchFeature(dict(made), kind)
        ids = features["ids"].dtype
        assert features.to(*given) is features
        assert np.asarray(features.x).dtype == "float16"
        assert features["ids"].dtype == ids
    features = BatchFeature({**made, "text": ["a"]})
    assert features.to("cpu").to(device="cuda").x.dtype == "float32"
    assert features.to(dtype="bfloat16").text == ["a"]
    with pytest.raises(TypeError, match="takes a device and a dtype"):
        features.to("cpu", "cuda")


def test_tensors_of_pytorch_are_moved():
    class Moved:
        dtype = "int64"

        def to(self, device, **options):
            return device, options

    features = BatchFeature({"ids": Moved()})
    assert features.to("cuda:1", non_blocking=True).ids == ("cuda:1", {"non_blocking": True})


@pytest.mark.parametrize("choice", ["pt", "jax", True])
def test_other_kinds_of_tensors(choice):
    with pytest.raises(ValueError, match="'np' .*'tf' .*or None .*got"):
        BatchFeature({"a": [1]}, choice)


def test_items_of_different_shapes():
    with pytest.raises(ValueError, match="a cannot become one array: .*different shapes"):
        BatchFeature({"a": [np.ones((2, 3)), np.ones((3, 2))]}, "np")


def test_preprocessing_does_not_load_keras():
    code = (
        "import sys, numpy as np\n"
        "from tfzoo.preprocessing.videomae import VideoMAEImageProcessor as P\n"
        "P()(np.zeros((2, 9, 9, 3), np.uint8), return_tensors='np')\n"
        "print([m for m in ('av', 'keras', 'tensorflow', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
