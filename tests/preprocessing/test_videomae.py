"""The video processor: the reference's recorded bits, and what tfzoo adds."""

from __future__ import annotations

import copy
import inspect
import json

import numpy as np
import pytest
from PIL import Image

from tests.preprocessing.videomae_cases import CASES, PHOTOS, RECORDED, SMALL, cat, clip, cup
from tests.support.record_preprocessing import digest, thinned
from tfzoo.io import read_video
from tfzoo.preprocessing.videomae import VideoMAEImageProcessor

NASA = PHOTOS.parent / "videos" / "nasa_13013.mp4"
RECORDS = np.load(RECORDED)


def run(videos, **call):
    return VideoMAEImageProcessor(**SMALL)(videos, return_tensors="np", **call).pixel_values


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_references_bits(case):
    processor = VideoMAEImageProcessor(**case.init)
    pixels = processor(case.videos(), return_tensors="np", **case.call).pixel_values
    np.testing.assert_array_equal(thinned(pixels), RECORDS[f"{case.name}.sample"])
    np.testing.assert_array_equal(digest(pixels), RECORDS[f"{case.name}.digest"])


def test_every_recording_is_used():
    assert {name.rpartition(".")[0] for name in RECORDS} == {case.name for case in CASES}


def test_documented_arguments_in_their_order():
    fields = [
        "do_resize",
        "size",
        "resample",
        "do_center_crop",
        "crop_size",
        "do_rescale",
        "rescale_factor",
        "do_normalize",
        "image_mean",
        "image_std",
    ]
    assert list(VideoMAEImageProcessor.field_names()) == fields
    arguments = list(inspect.signature(VideoMAEImageProcessor.preprocess).parameters)
    tail = ["return_tensors", "data_format", "input_data_format"]
    assert arguments[:15] == ["self", "videos", *fields, *tail]
    assert tuple(VideoMAEImageProcessor.model_input_names) == ("pixel_values",)


def test_documented_defaults():
    assert VideoMAEImageProcessor().to_dict() == {
        "do_resize": True,
        "size": {"shortest_edge": 224},
        "resample": 2,
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "image_processor_type": "VideoMAEImageProcessor",
    }


def test_an_old_file_is_read(tmp_path):
    old = {
        "feature_extractor_type": "VideoMAEFeatureExtractor",
        "size": 336,
        "resample": 3,
        "image_mean": [0.45, 0.45, 0.45],
        "image_std": [0.225, 0.225, 0.225],
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    processor = VideoMAEImageProcessor.from_pretrained(tmp_path)
    assert processor.size == {"shortest_edge": 336}
    assert processor.crop_size == {"height": 224, "width": 224}  # it does not follow the size
    assert processor.image_mean == [0.45, 0.45, 0.45]
    assert not hasattr(processor, "feature_extractor_type")
    assert VideoMAEImageProcessor.from_pretrained(tmp_path, size=60).size == {"shortest_edge": 60}


def test_without_return_tensors_the_result_is_nested_lists():
    pixels = VideoMAEImageProcessor(**SMALL)([clip(cat()), clip(cup())]).pixel_values
    assert [type(level) for level in (pixels, pixels[0])] == [list, list]
    assert (len(pixels), len(pixels[0]), pixels[0][0].shape) == (2, 2, (3, 48, 48))
    np.testing.assert_array_equal(np.array(pixels), run([clip(cat()), clip(cup())]))


def test_tensors():
    from keras import ops

    features = VideoMAEImageProcessor(**SMALL)(clip(cat()), return_tensors="tf")
    assert ops.is_tensor(features.pixel_values)
    np.testing.assert_array_equal(ops.convert_to_numpy(features.pixel_values), run(clip(cat())))


def test_arrays_of_four_and_five_axes():
    frames = np.stack(clip(cat(), 3))
    expected = run(list(frames))
    assert expected.shape == (1, 3, 3, 48, 48)
    np.testing.assert_array_equal(run(frames), expected)
    np.testing.assert_array_equal(run(frames[None]), expected)
    np.testing.assert_array_equal(run(frames.transpose(0, 3, 1, 2)), expected)
    np.testing.assert_array_equal(run(np.stack([frames, frames]))[1:], expected)


def test_a_path():
    frames = read_video(NASA, num_frames=4, sampling="centre", frame_sample_rate=2).frames
    pixels = run(NASA, num_frames=4, sampling="centre", frame_sample_rate=2)
    np.testing.assert_array_equal(pixels, run(frames))


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"num_frames": 4}, {"num_frames": 4}),
        ({"num_frames": 4, "sampling": "segment"}, {"num_frames": 4, "sampling": "segment"}),
        (
            {"vision_config": {"num_frames": 3}, "sampling": "centre", "frame_sample_rate": 5},
            {"num_frames": 3, "sampling": "centre", "frame_sample_rate": 5},
        ),
    ],
)
def test_a_checkpoint_says_which_frames_are_read(config, choice, tmp_path):
    processor = VideoMAEImageProcessor(**SMALL)
    processor.save_pretrained(tmp_path)
    before = (tmp_path / "preprocessor_config.json").read_bytes()
    with pytest.raises(ValueError, match="give num_frames"):
        VideoMAEImageProcessor.from_pretrained(tmp_path)(NASA)
    (tmp_path / "config.json").write_text(json.dumps(config))
    for file in (tmp_path, tmp_path / "preprocessor_config.json"):
        loaded = copy.deepcopy(VideoMAEImageProcessor.from_pretrained(file))
        frames = read_video(NASA, **choice).frames
        np.testing.assert_array_equal(loaded(NASA, return_tensors="np").pixel_values, run(frames))
    other = read_video(NASA, **{**choice, "num_frames": 2, "sampling": "uniform"}).frames
    pixels = loaded(NASA, num_frames=2, sampling="uniform", return_tensors="np").pixel_values
    np.testing.assert_array_equal(pixels, run(other))
    loaded.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "preprocessor_config.json").read_bytes() == before


@pytest.mark.parametrize("value", ["8", True, 4.0, None, [8]])
def test_numbers_of_frames_that_are_none(value, tmp_path):
    VideoMAEImageProcessor(**SMALL).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"num_frames": value, "sampling": 3}))
    choice = VideoMAEImageProcessor.from_pretrained(tmp_path).frame_choice
    assert (choice.num_frames, choice.sampling) == (None, "uniform")


def test_grey_and_transparent_frames():
    grey = cat()[..., 0]
    expected = run([np.stack([grey] * 3, axis=-1)])
    for form in (grey, grey[None], grey[..., None], Image.fromarray(grey)):
        np.testing.assert_array_equal(run([form]), expected)
    clear = np.concatenate([cat(), cat()[..., :1]], axis=-1)
    for form in (clear, clear.transpose(2, 0, 1), Image.fromarray(clear)):
        np.testing.assert_array_equal(run([form]), run([cat()]))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_input_stays_as_it_is(dtype):
    frames = np.stack(clip(cat())).astype(dtype)
    before = frames.copy()
    for do_resize in (True, False):
        run(frames, do_resize=do_resize)
    np.testing.assert_array_equal(frames, before)


def test_data_format_none_keeps_the_inputs_layout():
    last, first = clip(cat()), [frame.transpose(2, 0, 1) for frame in clip(cat())]
    assert run(last, data_format=None).shape == (1, 2, 48, 48, 3)
    assert run(first, data_format=None).shape == (1, 2, 3, 48, 48)
    assert run([Image.fromarray(f) for f in last], data_format=None).shape == (1, 2, 48, 48, 3)
    assert run([f[..., 0] for f in last], data_format=None).shape == (1, 2, 48, 48, 3)


def test_sizes_that_stay_different_make_lists_but_no_array():
    mixed = [cat(), cup()]
    pixels = VideoMAEImageProcessor(do_center_crop=False, size=20)(mixed).pixel_values
    assert [frame.shape for frame in pixels[0]] == [(3, 20, 30), (3, 33, 20)]
    with pytest.raises(ValueError, match="pixel_values cannot become one array"):
        run(mixed, do_center_crop=False)


def test_frames_that_are_scaled_already():
    frames = [frame / 255 for frame in clip(cat())]
    with pytest.warns(UserWarning, match="about to be rescaled once more"):
        run(frames)


def test_per_call_values_do_not_stay():
    processor = VideoMAEImageProcessor(**SMALL)
    before = processor.to_dict()
    processor(clip(cat()), size=20, crop_size=10, image_mean=0.1, do_rescale=False)
    assert processor.to_dict() == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"return_tensors": "pt"}, "return_tensors must be 'np'"),
        ({"size": {"longest_edge": 30}}, "size: expected shortest_edge, or height and width"),
        ({"size": "30"}, "size: expected a number"),
        ({"crop_size": {"shortest_edge": 30}}, "crop_size: expected height and width"),
        ({"data_format": "NCHW"}, "data_format: expected 'channels_first'"),
        ({"input_data_format": "NHWC"}, "input_data_format: expected 'channels_first'.*'none'"),
        ({"image_mean": [0.5, 0.5]}, "image_mean: expected one number or 3"),
        ({"image_std": [0.5, 0.5]}, "image_std: expected one number or 3"),
        ({"image_std": 0}, "image_std: expected values other than 0"),
        ({"resample": 77}, "resample must be the number of one of Pillow's filters, 0 to 5"),
        ({"num_frames": 2}, "num_frames chooses frames of video files"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        VideoMAEImageProcessor(**SMALL)(clip(cat()), **call)


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        ([], "got an empty list"),
        ([np.zeros((5, 6, 7), np.uint8)], r"channels first or last .* shape \(5, 6, 7\)"),
        ([np.full((6, 7, 3), 300)], "within 0..255"),
        ([np.full((6, 7, 3), 1.5)], "fractions within 0..1"),
        ([clip(cat(), 2), clip(cat(), 3)], "video 0 has 2, video 1 has 3"),
        (np.zeros((0, 6, 7, 3)), r"got an array of shape \(0, 6, 7, 3\)"),
    ],
)
def test_bad_videos(videos, message):
    with pytest.raises(ValueError, match=message):
        run(videos)


def test_things_that_are_not_videos():
    with pytest.raises(TypeError, match="got NoneType"):
        run(None)
