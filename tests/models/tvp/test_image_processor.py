"""TVP's image processor: the reference's recorded bits, single steps, options, files."""

from __future__ import annotations

import inspect
import json
from enum import Enum

import numpy as np
import pytest
from PIL import Image

from tests.io.synthetic import make_video
from tests.models.tvp.image_cases import CASES, CHECKPOINT, LEGACY, LIKE, RECORDED, SMALL
from tests.preprocessing.videomae_cases import PHOTOS, cat, clip, cup, face
from tests.support.record_preprocessing import digest, thinned
from tfzoo.io import VideoError, read_video
from tfzoo.models.tvp.image_processor import TvpImageProcessor
from tfzoo.preprocessing.padding import check_fill, pad_right_and_bottom, padded_size

NASA = PHOTOS.parent / "videos" / "nasa_13013.mp4"
RECORDS = np.load(RECORDED)
FIELDS = [
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "do_rescale",
    "rescale_factor",
    "do_pad",
    "pad_size",
    "constant_values",
    "pad_mode",
    "do_normalize",
    "do_flip_channel_order",
    "image_mean",
    "image_std",
]


def run(videos, **call):
    return TvpImageProcessor(**LIKE)(videos, return_tensors="np", **call).pixel_values


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_references_bits(case):
    processor = TvpImageProcessor(**case.init)
    pixels = processor(case.videos(), return_tensors="np", **case.call).pixel_values
    np.testing.assert_array_equal(thinned(pixels), RECORDS[f"{case.name}.sample"])
    np.testing.assert_array_equal(digest(pixels), RECORDS[f"{case.name}.digest"])


def test_every_recording_is_used():
    assert {name.rpartition(".")[0] for name in RECORDS} == {case.name for case in CASES}


def test_the_checkpoints_settings_on_a_pixel_worked_out_by_hand():
    frame = np.zeros((30, 48, 3), np.uint8) + np.array([172, 10, 127], np.uint8)
    pixels = TvpImageProcessor(**CHECKPOINT)([frame] * 2, return_tensors="np").pixel_values
    assert pixels.shape == (1, 2, 3, 448, 448)
    assert pixels.dtype == np.float32
    blue_green_red = [(127 - 6.6981) / 8.7213, (10 - 7.3115) / 9.0659, (172 - 8.2381) / 9.6335]
    np.testing.assert_allclose(pixels[0, 0, :, 279, 447], blue_green_red, rtol=1e-6)
    assert (pixels[0, :, :, 280:] == 0).all(), "what is padded is exactly 0"


def test_documented_arguments_in_their_order():
    assert list(TvpImageProcessor.field_names()) == FIELDS
    arguments = list(inspect.signature(TvpImageProcessor.preprocess).parameters)
    tail = ["return_tensors", "data_format", "input_data_format"]
    assert arguments[:20] == ["self", "videos", *FIELDS, *tail]
    pad = list(inspect.signature(TvpImageProcessor.pad_image).parameters)[1:]
    assert pad == ["image", *FIELDS[8:11], "data_format", "input_data_format"]
    assert tuple(TvpImageProcessor.model_input_names) == ("pixel_values",)


def test_documented_defaults():
    assert TvpImageProcessor().to_dict() == {
        "do_resize": True,
        "size": {"longest_edge": 448},
        "resample": 2,
        "do_center_crop": True,
        "crop_size": {"height": 448, "width": 448},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_pad": True,
        "pad_size": {"height": 448, "width": 448},
        "constant_values": 0,
        "pad_mode": "constant",
        "do_normalize": True,
        "do_flip_channel_order": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "image_processor_type": "TvpImageProcessor",
    }


# ---- sizes
@pytest.mark.parametrize(
    ("shape", "edge", "expected"),
    [
        ((360, 641), 448, (251, 448)),  # 251.6 is cut
        ((333, 100), 448, (448, 134)),
        ((100, 100), 448, (448, 448)),
        ((30, 48), 448, (280, 448)),
        ((7, 448), 448, (7, 448)),
        ((1, 640), 448, None),  # nothing would be left
    ],
)
def test_the_longest_edge(shape, edge, expected):
    image = Image.new("RGB", shape[::-1])
    resize = TvpImageProcessor().resize
    if expected is None:
        with pytest.raises(ValueError, match=r"resized to nothing.*\(0, 448\)"):
            resize(image, {"longest_edge": edge})
    else:
        assert resize(image, {"longest_edge": edge}).shape == (*expected, 3)


def test_the_shortest_edge():
    pixels = run(clip(cat()), size={"shortest_edge": 48}, do_pad=False)
    assert pixels.shape == (1, 2, 3, 48, 72)
    resized = TvpImageProcessor().resize(cup(), {"shortest_edge": 48})
    assert resized.shape == (80, 48, 3)


# ---- single steps
def test_single_steps_are_those_of_the_whole():
    processor = TvpImageProcessor(**SMALL, constant_values=0.25)
    image = processor.resize(cat(), {"longest_edge": 40})
    image = processor.center_crop(image, {"height": 31, "width": 33})
    image = processor.rescale(image, 1 / 255)
    image = processor.normalize(image, processor.image_mean, processor.image_std)
    image = processor.pad_image(image, {"height": 48, "width": 50}, 0.25)
    whole = processor(
        cat(),
        size={"longest_edge": 40},
        crop_size=(31, 33),
        pad_size=(48, 50),
        data_format="channels_last",
    )
    np.testing.assert_array_equal(whole.pixel_values[0][0], image[..., ::-1])


def test_pad_modes_on_a_row_of_numbers():
    row = np.arange(1.0, 5).reshape(1, 4, 1)
    expected = {
        "constant": [1, 2, 3, 4, 9, 9, 9],
        "reflect": [1, 2, 3, 4, 3, 2, 1],
        "replicate": [1, 2, 3, 4, 4, 4, 4],
        "symmetric": [1, 2, 3, 4, 4, 3, 2],
    }
    pad = TvpImageProcessor().pad_image
    for mode, values in expected.items():
        padded = pad(row, {"width": 7}, 9, mode, None, "channels_last")
        assert padded[0, :, 0].tolist() == values
        tall = pad(row.transpose(1, 0, 2), {"height": 7}, 9, mode, None, "channels_last")
        assert tall[:, 0, 0].tolist() == values
    assert padded.dtype == row.dtype


def test_steps_keep_or_change_the_layout():
    processor, first = TvpImageProcessor(), cat().transpose(2, 0, 1)
    assert processor.pad_image(first, 200).shape == (3, 200, 200)
    assert processor.pad_image(first, 200, data_format="channels_last").shape == (200, 200, 3)
    assert processor.pad_image(Image.fromarray(cat()), (100, 141)).shape == (100, 141, 3)
    assert processor.center_crop(first, 20).shape == (3, 20, 20)
    assert pad_right_and_bottom(first, {"width": 150}, data_format="channels_first").shape == (
        3,
        93,
        150,
    )


def test_steps_leave_the_users_pixels_alone():
    image, processor = face(), TvpImageProcessor()
    for same in (processor.pad_image(image, 110), processor.center_crop(image, 110)):
        np.testing.assert_array_equal(same, image)
        assert not np.shares_memory(same, image)
    bare = {"do_resize": False, "do_normalize": False, "do_pad": False}
    frames = np.stack(clip(image))
    pixels = run(frames, **bare, do_flip_channel_order=False, data_format=None)
    np.testing.assert_array_equal(pixels[0], frames)
    assert not np.shares_memory(pixels, frames)


# ---- forms of input
def test_arrays_of_four_and_five_axes():
    frames = np.stack(clip(cat(), 3))
    expected = run(list(frames))
    assert expected.shape == (1, 3, 3, 48, 48)
    for form in (frames, frames[None], frames.transpose(0, 3, 1, 2), [frames]):
        np.testing.assert_array_equal(run(form), expected)
    np.testing.assert_array_equal(run([frames, frames[::-1]])[0], expected[0])


def test_tensors():
    from keras import ops

    features = TvpImageProcessor(**LIKE)(clip(cat()), return_tensors="tf")
    assert ops.is_tensor(features.pixel_values)
    np.testing.assert_array_equal(features.pixel_values, run(clip(cat())))
    tensor = ops.convert_to_tensor(np.stack(clip(cat())))
    np.testing.assert_array_equal(run(tensor), run(clip(cat())))


def test_without_return_tensors_there_is_one_array_for_each_video():
    pixels = TvpImageProcessor(**LIKE)([clip(cat(), 2), clip(cup(), 3)]).pixel_values
    assert isinstance(pixels, list)
    assert [video.shape for video in pixels] == [(2, 3, 48, 48), (3, 3, 48, 48)]
    np.testing.assert_array_equal(pixels[0], run(clip(cat()))[0])
    with pytest.raises(ValueError, match="same number of frames: video 0 has 2, video 1 has 3"):
        run([clip(cat(), 2), clip(cup(), 3)])


def test_a_path():
    frames = read_video(NASA, num_frames=4).frames
    np.testing.assert_array_equal(run(NASA, num_frames=4), run(frames))
    np.testing.assert_array_equal(run([NASA], num_frames=4), run(frames))
    with pytest.raises(ValueError, match="give num_frames"):
        run(NASA)


def test_short_videos_have_frames_repeated(tmp_path):
    path = make_video(tmp_path / "short.mp4", 2)
    pixels = run(path, num_frames=4)
    assert pixels.shape == (1, 4, 3, 48, 48)
    np.testing.assert_array_equal(pixels[:, [0, 2]], pixels[:, [1, 3]])
    assert (pixels[:, 1] != pixels[:, 2]).any()
    with pytest.raises(VideoError, match="has 2 frames; 4 frames by 'uniform'"):
        run(path, num_frames=4, sampling="uniform")


def test_grey_and_transparent_frames():
    grey = cat()[..., 0]
    expected = run([np.stack([grey] * 3, axis=-1)])
    for form in (grey, grey[None], grey[..., None], Image.fromarray(grey)):
        np.testing.assert_array_equal(run([form]), expected)
    clear = np.concatenate([cat(), cat()[..., :1]], axis=-1)
    for form in (clear, Image.fromarray(clear)):
        np.testing.assert_array_equal(run([form]), run([cat()]))


def test_data_format_none_keeps_the_inputs_layout():
    assert run(clip(cat()), data_format=None).shape == (1, 2, 48, 48, 3)
    first = [frame.transpose(2, 0, 1) for frame in clip(cat())]
    assert run(first, data_format=None).shape == (1, 2, 3, 48, 48)


def test_frames_that_are_scaled_already():
    with pytest.warns(UserWarning, match="about to be rescaled once more"):
        TvpImageProcessor(**SMALL)([cat() / 255])


def test_enumerations_stand_for_their_values():
    class Mode(Enum):
        REFLECT = "reflect"

    processor = TvpImageProcessor(**LIKE, pad_mode=Mode.REFLECT)
    assert processor.to_dict()["pad_mode"] == "reflect"
    expected = run(clip(cat()), pad_mode="reflect")
    np.testing.assert_array_equal(run(clip(cat()), pad_mode=Mode.REFLECT), expected)


def test_per_call_values_do_not_stay():
    processor = TvpImageProcessor(**LIKE)
    before = processor.to_dict()
    processor(clip(cat()), size={"longest_edge": 20}, pad_mode="reflect", constant_values=3)
    assert processor.to_dict() == before


# ---- what is refused
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"return_tensors": "pt"}, "return_tensors must be 'np'"),
        ({"size": 30}, "size: 30 could be either edge: give {'longest_edge': 30}"),
        ({"size": {"edge": 30}}, "size: expected a number"),
        ({"crop_size": {"shortest_edge": 30}}, "crop_size: expected height and width"),
        ({"pad_size": {"longest_edge": 30}}, "pad_size"),
        ({"pad_size": {"height": 0}}, r"pad_size\['height'\]: expected a positive integer"),
        (
            {"pad_size": {"height": 20}},
            r"at least that of the image, 31 x 48 .* got {'height': 20}",
        ),
        ({"pad_size": 40}, r"pad_size: .*31 x 48 \(height x width\), got .*Make pad_size larger"),
        ({"pad_mode": "edge"}, "pad_mode: expected one of constant, reflect, replicate, symmetric"),
        ({"constant_values": "black"}, "constant_values: expected a finite number.*got 'black'"),
        ({"constant_values": (1, 2, 3)}, r"constant_values: .* got \(1, 2, 3\)"),
        ({"data_format": "NCHW"}, "data_format: expected 'channels_first'"),
        ({"input_data_format": "NHWC"}, "input_data_format: expected 'channels_first'.*'none'"),
        ({"image_mean": [0.5, 0.5]}, "image_mean: expected one number or 3"),
        ({"image_std": 0}, "image_std: expected values other than 0"),
        ({"image_std": 1e-45}, "image_std: expected values other than 0"),
        ({"constant_values": float("-inf")}, "constant_values: expected a finite number"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(ValueError, match=message):
        TvpImageProcessor(**LIKE)(clip(cat()), **{"return_tensors": "np", **call})
    names = {"size", "crop_size", "pad_mode", "constant_values"} & set(call)
    for name in names:
        with pytest.raises(ValueError, match=name):
            TvpImageProcessor(**{name: call[name]})


def test_frames_of_several_sizes_need_padding():
    with pytest.raises(ValueError, match=r"frames of one video need one size, got .*\(3, 31, 48\)"):
        run([cat(), cup()], do_pad=False)
    with pytest.raises(ValueError, match="pixel_values cannot become one array"):
        run([clip(cat()), clip(cup())], do_pad=False)


def test_fills_and_sizes():
    assert check_fill([3]).tolist() == [[3, 3], [3, 3]]
    assert padded_size({"width": 3}) == {"width": 3}
    assert padded_size((3, 4)) == {"height": 3, "width": 4}


# ---- files
def test_the_checkpoints_file(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(LEGACY))
    processor = TvpImageProcessor.from_pretrained(tmp_path)
    for name, value in CHECKPOINT.items():
        assert getattr(processor, name) == value
    assert (processor.size, processor.do_pad) == ({"longest_edge": 448}, True)
    assert processor.padding_size == {"height": 448, "width": 448}, "kept, and not read"
    assert processor(clip(cat()), return_tensors="np").pixel_values.shape == (1, 2, 3, 448, 448)


def test_there_and_back(tmp_path):
    processor = TvpImageProcessor(**LIKE, pad_mode="reflect", constant_values=(1, 2.5), more=[1])
    processor.save_pretrained(tmp_path)
    again = TvpImageProcessor.from_pretrained(tmp_path)
    assert again.to_dict() == processor.to_dict()
    filled = {"pad_mode": "constant", "pad_size": 60, "return_tensors": "np"}
    np.testing.assert_array_equal(
        again(clip(cat()), **filled).pixel_values, processor(clip(cat()), **filled).pixel_values
    )
    assert TvpImageProcessor.from_pretrained(tmp_path, crop_size=9).crop_size["width"] == 9


def test_the_file_of_the_fast_class(tmp_path):
    values = {**TvpImageProcessor().to_dict(), "image_processor_type": "TvpImageProcessorFast"}
    combined = {"image_processor": values | {"pad_size": {"height": 50, "width": 60}}}
    (tmp_path / "processor_config.json").write_text(json.dumps(combined))
    processor = TvpImageProcessor.from_pretrained(tmp_path)
    assert processor.pad_size == {"height": 50, "width": 60}
