"""TVP's processor: sentences and videos in any combination, seconds, parts, files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.io.synthetic import make_video
from tests.models.tvp.image_cases import CHECKPOINT, LEGACY, LIKE, SENTENCES, write_vocabulary
from tests.preprocessing.videomae_cases import PHOTOS, cat, clip, cup
from tests.text.clip_files import read_json
from tfzoo.models.tvp.processor import TvpImageProcessor, TvpProcessor
from tfzoo.preprocessing.videomae import VideoMAEImageProcessor
from tfzoo.text.bert import BertTokenizer, BertTokenizerFast
from tfzoo.text.tokenizer import BatchEncoding

NASA = PHOTOS.parent / "videos" / "nasa_13013.mp4"
IDS = ["input_ids", "attention_mask"]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return write_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def processor(vocabulary):
    tokenizer = BertTokenizerFast.from_pretrained(vocabulary)
    return TvpProcessor(TvpImageProcessor(**LIKE), tokenizer)


def same(left, right):
    assert list(left) == list(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])


def ids_of(processor, *words):
    return processor.tokenizer.convert_tokens_to_ids(["[CLS]", *words, "[SEP]"])


# ---- texts
def test_sentences_are_padded_to_max_text_length(processor):
    features = processor(text=SENTENCES, max_text_length=12, return_tensors="np")
    assert list(features) == IDS, "no token_type_ids"
    ids = ids_of(processor, "a", "person", "is", "sitting", "on", "a", "bed", ".")
    assert features.input_ids[0].tolist() == [*ids, 0, 0]
    assert features.input_ids[1].tolist() == [
        *ids_of(processor, "the", "dog", "runs"),
        *[0] * 7,
    ]
    np.testing.assert_array_equal(features.attention_mask, features.input_ids > 0)
    assert features.input_ids.dtype == np.int64


def test_without_max_text_length_the_tokenizers_own_counts(processor):
    features = processor(text=SENTENCES, return_tensors="np")
    assert features.input_ids.shape == (2, 20)
    short = processor(text=SENTENCES, padding=True, return_tensors="np")
    np.testing.assert_array_equal(short.input_ids, features.input_ids[:, :10])
    same(processor(text=SENTENCES, padding=True, max_text_length=12, return_tensors="np"), short)


def test_forms_of_text(processor):
    expected = processor(text=[SENTENCES[1]], return_tensors="np")
    for form in (SENTENCES[1], (SENTENCES[1],)):
        same(processor(text=form, return_tensors="np"), expected)
        same(processor(form, return_tensors="np"), expected)
    words = SENTENCES[1].split()
    for form in (words, [words], (tuple(words),)):
        same(processor(text=form, is_split_into_words=True, return_tensors="np"), expected)
    listed = processor(text=SENTENCES[1])
    assert [type(listed.input_ids), type(listed.input_ids[0])] == [list, list]
    assert listed.input_ids == expected.input_ids.tolist()


def test_options_of_the_tokenizer(processor):
    features = processor(text="a dog", return_token_type_ids=True, max_length=7, padding=False)
    assert features.input_ids == [ids_of(processor, "a", "dog")]
    assert features.token_type_ids == [[0] * 4]
    assert processor(text="a dog", padding_side="left", max_text_length=6).input_ids[0][:2] == [
        0,
        0,
    ]
    assert features.tokens() == ["[CLS]", "a", "dog", "[SEP]"]


def test_a_sentence_that_is_too_long(processor):
    long = "a dog " * 6
    fits = processor(text=long, max_text_length=14, return_tensors="np")
    assert fits.attention_mask.all()
    message = r"sentence 1 has 14 tokens, max_text_length is 13: 'a dog .*truncation=True"
    with pytest.raises(ValueError, match=message):
        processor(text=["a dog", long], max_text_length=13)
    with pytest.raises(ValueError, match="has 62 tokens, max_text_length is 20"):
        processor(text="a dog " * 30)
    with pytest.raises(ValueError, match="has 62 tokens, max_text_length is 20"):
        processor(text="a dog " * 30, padding=True)
    cut = processor(text=["a dog", long], max_text_length=13, truncation=True, return_tensors="np")
    assert cut.input_ids.shape == (2, 13)
    assert cut.input_ids[1, -1] == processor.tokenizer.sep_token_id
    np.testing.assert_array_equal(cut.input_ids[1, :12], fits.input_ids[0, :12])


@pytest.mark.parametrize("text", ["", "  \n", ["a dog", ""], "\u200b\x00"])
def test_an_empty_sentence(processor, text):
    number = 1 if isinstance(text, list) else 0
    with pytest.raises(ValueError, match=rf"text: sentence {number}, '.*', is empty"):
        processor(text=text)


def test_an_empty_list_of_words(processor):
    for text in ([[]], [["a"], []], [["a"], [" "]]):
        with pytest.raises(ValueError, match=r"sentence \d, \[.*\], is empty"):
            processor(text=text, is_split_into_words=True)


# ---- videos
def test_videos(processor):
    videos = [clip(cat(), 3), clip(cup(), 3)]
    expected = processor.image_processor(videos, return_tensors="np")
    features = processor(videos=videos, return_tensors="np")
    same(features, expected)
    assert features.pixel_values.shape == (2, 3, 3, 48, 48)
    same(processor(videos=clip(cat(), 3), return_tensors="np"), processor.image_processor(
        videos[:1], return_tensors="np"))  # fmt: skip
    pillow = [Image.fromarray(frame) for frame in videos[0]]
    for form in (pillow, np.stack(videos[0]), [np.stack(videos[0])], np.stack(videos[0])[None]):
        same(processor(videos=form, return_tensors="np"), processor(
            videos=videos[0], return_tensors="np"))  # fmt: skip


def test_both(processor):
    features = processor(SENTENCES, [clip(cat()), clip(cup())], "np", max_text_length=12)
    assert isinstance(features, BatchEncoding)
    assert list(features) == [*IDS, "pixel_values"]
    same(
        features,
        {
            **processor(text=SENTENCES, max_text_length=12, return_tensors="np"),
            **processor(videos=[clip(cat()), clip(cup())], return_tensors="np"),
        },
    )


@pytest.mark.parametrize("kind", ["np", "tf", None])
def test_kinds_of_result(processor, kind):
    from keras import ops

    features = processor(text=SENTENCES, videos=clip(cat()), return_tensors=kind)
    check = {"np": lambda v: isinstance(v, np.ndarray), "tf": ops.is_tensor}.get(
        kind, lambda v: isinstance(v, list)
    )
    assert all(check(value) for value in features.values())
    expected = processor(text=SENTENCES, videos=clip(cat()), return_tensors="np")
    same({name: np.asarray(value) for name, value in features.items()}, expected)


def test_files_of_videos(processor, tmp_path):
    features = processor(videos=NASA, num_frames=4, return_tensors="np")
    clip_ = tfzoo.read_video(NASA, num_frames=4)
    same(features, processor(videos=clip_.frames, return_tensors="np"))
    short = make_video(tmp_path / "short.mp4", 2)
    assert processor(videos=short, num_frames=4, return_tensors="np").pixel_values.shape[1] == 4


def test_keywords_reach_their_part(processor):
    features = processor(
        text="a dog", videos=clip(cat()), return_tensors="np",
        max_text_length=7, size={"longest_edge": 20}, pad_size=30, do_normalize=False,
    )  # fmt: skip
    assert features.pixel_values.shape == (1, 2, 3, 30, 30)
    assert features.pixel_values[..., 20:, :].max() == 0
    assert features.input_ids.shape == (1, 7)


def test_a_video_of_less_than_two_frames(processor, tmp_path):
    message = r"video {} has one frame, and a moment needs two at least"
    for videos in (cat(), [cat()], np.stack([cat()]), Image.fromarray(cat())):
        for kind in ("np", "tf", None):
            with pytest.raises(ValueError, match=message.format(0)):
                processor(text="a dog", videos=videos, return_tensors=kind)
    with pytest.raises(ValueError, match=message.format(1)):
        processor(videos=[clip(cat()), [cup()]])
    still = make_video(tmp_path / "still.mp4", 1)
    with pytest.raises(ValueError, match="still.mp4: The video has 1 frames; .* at least 2"):
        processor(videos=still, num_frames=4)
    assert processor.image_processor(cat(), return_tensors="np").pixel_values.shape[1] == 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({}, ValueError, "given neither text nor videos"),
        ({"max_text_length": 9}, ValueError, "given neither text nor videos"),
        ({"text": 3}, TypeError, "text: expected a sentence or a list of them, got int"),
        ({"text": []}, ValueError, "got an empty list"),
        ({"text": ["a", 3]}, TypeError, "got 3 in the list"),
        ({"text": [["a", "dog"]]}, TypeError, "need is_split_into_words=True"),
        ({"text": ["a", ["b"]], "is_split_into_words": True}, TypeError, "got 'a' in the list"),
        ({"text": "a", "max_length": 9, "max_text_length": 9}, ValueError, "give one"),
        ({"text": "a", "max_text_length": 0}, ValueError, "max_text_length"),
        ({"text": "a", "max_text_length": 2.5}, ValueError, "max_text_length"),
        ({"videos": 3}, TypeError, "Expected a path of a video.*got int"),
        ({"videos": []}, ValueError, "got an empty list"),
        ({"videos": "none.mp4", "num_frames": 2}, FileNotFoundError, "none.mp4"),
        ({"text": "a", "images": 3}, TypeError, "unexpected keyword 'images'.*padding.*pad_mode"),
        ({"text": "a", "return_tensors": "pt"}, ValueError, "return_tensors must be 'np'"),
    ],
)
def test_bad_calls(processor, call, error, message):
    with pytest.raises(error, match=message):
        processor(**call)


# ---- results
@pytest.mark.parametrize(
    ("logits", "duration", "expected"),
    [
        ([[0.1, 0.9]], 20.0, (2.0, 18.0)),
        (
            [[0.25, 0.35]],
            1,
            (0.2, 0.3),
        ),  # 0.25 to the even tenth; 0.35 is a little below in float32
        ([[0.5, 0.75]], 0.5, (0.2, 0.4)),
        ([[0.8, 0.2]], 10.0, (8.0, 2.0)),
        ([[0.1, 0.2], [0.3, 0.4]], 10.0, (1.0, 2.0)),  # the first alone
        ([[0.0, 1.0]], 33.37, (0.0, 33.4)),
    ],
)
def test_seconds(processor, logits, duration, expected):
    from keras import ops

    array = np.array(logits, "float32")
    theirs = tuple(round(part * duration, 1) for part in array.tolist()[0])
    assert theirs == expected
    for form in (array, ops.convert_to_tensor(array), array.tolist() if duration != 1 else array):
        found = processor.post_process_video_grounding(form, duration)
        assert found == expected
        assert [type(part) for part in found] == [float, float]
    assert processor.post_process_video_grounding(array, np.float64(duration)) == expected


def test_seconds_of_half_precision(processor):
    from keras import ops

    logits = ops.cast([[0.1, 0.9]], "bfloat16")
    assert processor.post_process_video_grounding(logits, 100) == (10.0, 89.8)


def test_seconds_of_a_batch(processor):
    logits = np.array([[0.1, 0.9], [0.5, 0.25]], "float32")
    assert processor.post_process_batch(logits, [20, 8]) == [(2.0, 18.0), (4.0, 2.0)]
    assert processor.post_process_batch(logits, 20) == [(2.0, 18.0), (10.0, 5.0)]
    assert processor.post_process_batch(logits, np.array([20.0, 8])) == [(2.0, 18.0), (4.0, 2.0)]
    with pytest.raises(ValueError, match=r"one number, or 2, one for each row.*got shape \(3,\)"):
        processor.post_process_batch(logits, [1, 2, 3])


def test_bad_results(processor):
    for durations in ([20.0], np.array([20.0]), (1, 2)):
        with pytest.raises(TypeError, match="expected one number.*post_process_batch"):
            processor.post_process_video_grounding(np.zeros((1, 2)), durations)
    for shape in ((2,), (1, 3), (0, 2), (1, 2, 2)):
        for method in (processor.post_process_video_grounding, processor.post_process_batch):
            with pytest.raises(ValueError, match=r"logits: expected \(B, 2\).*got shape"):
                method(np.zeros(shape), 20.0)


def test_decoding(processor):
    ids = processor(text=SENTENCES).input_ids
    expected = [sentence.lower() for sentence in SENTENCES]
    assert processor.batch_decode(ids, skip_special_tokens=True) == expected
    assert processor.decode(ids[1], skip_special_tokens=True) == "the dog runs"
    assert processor.decode(ids[1]).startswith("[CLS] the dog runs [SEP]")


# ---- parts and files
def test_parts(processor):
    names = ["pixel_values", "input_ids", "token_type_ids", "attention_mask"]
    assert processor.model_input_names == names
    for parts, missing in (
        ({}, "image_processor"),
        ({"tokenizer": processor.tokenizer}, "image_processor"),
        ({"image_processor": processor.image_processor}, "tokenizer"),
    ):
        with pytest.raises(ValueError, match=f"TvpProcessor needs {missing}= .* got none"):
            TvpProcessor(**parts)
    with pytest.raises(TypeError, match="image_processor= of class TvpImageProcessor, got a Vid"):
        TvpProcessor(VideoMAEImageProcessor(), processor.tokenizer)
    with pytest.warns(FutureWarning, match="feature_extractor"):
        old = TvpProcessor(
            feature_extractor=processor.image_processor, tokenizer=processor.tokenizer
        )
    assert old.image_processor is processor.image_processor


def test_the_slow_tokenizer(vocabulary, processor):
    slow = TvpProcessor(TvpImageProcessor(**LIKE), BertTokenizer.from_pretrained(vocabulary))
    same(
        slow(text=SENTENCES, max_text_length=12, return_tensors="np"),
        processor(text=SENTENCES, max_text_length=12, return_tensors="np"),
    )
    with pytest.raises(ValueError, match="is empty"):
        slow(text=" ")


def test_there_and_back(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    for name in ("preprocessor_config.json", "tokenizer_config.json"):
        assert read_json(tmp_path / name)["processor_class"] == "TvpProcessor"
    again = TvpProcessor.from_pretrained(tmp_path)
    call = {"text": SENTENCES, "videos": [clip(cat()), clip(cup())], "return_tensors": "np"}
    same(again(**call), processor(**call))
    changed = TvpProcessor.from_pretrained(tmp_path, pad_size=60, model_max_length=15)
    features = changed(**call)
    assert features.input_ids.shape == (2, 15)
    assert features.pixel_values.shape == (2, 2, 3, 60, 60)


@pytest.mark.parametrize("form", ["two files", "one file"])
def test_a_published_checkpoints_files(form, tmp_path):
    write_vocabulary(tmp_path, do_lower_case=True)
    if form == "two files":
        values = {**LEGACY, "processor_class": "TvpProcessor"}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    else:
        values = {"image_processor": LEGACY, "processor_class": "TvpProcessor"}
        (tmp_path / "processor_config.json").write_text(json.dumps(values))
    processor = TvpProcessor.from_pretrained(tmp_path)
    features = processor("a dog", clip(cat()), "np", max_text_length=10)
    expected = TvpImageProcessor(**CHECKPOINT)(clip(cat()), return_tensors="np").pixel_values
    np.testing.assert_array_equal(features.pixel_values, expected)
