"""`autoencode_video`: videos decoded in parts, with their sound and their label."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.tasks.helpers import FRAMES, make

VIDEO: dict[str, Any] = {
    "num_frames": 2,
    "output_shape": [1, 2, 8, 12],
    "image_size": 12,
    "audio_samples_per_frame": 48,
    "samples_per_patch": 4,
    "output_num_channels": 16,
    "num_labels": 5,
}
CLIP = np.stack([np.array(Image.open(path)) for path in FRAMES])  # (2, 60, 96, 3)
SOUND = np.sin(np.arange(96) / 5).astype("float32")


@pytest.fixture(scope="module")
def multimodal() -> Any:
    return make("MultimodalAutoencoding", **VIDEO)


def whole(model: Any) -> dict[str, np.ndarray]:
    """All outputs at once, by the model's own call."""
    size = {"height": 8, "width": 12}
    processor = tfzoo.PerceiverImageProcessor(size=size, crop_size=size, do_normalize=False)
    inputs = {
        "image": processor(list(CLIP), return_tensors="np").pixel_values[None],
        "audio": SOUND[None, :, None],
        "label": np.zeros((1, 5), "float32"),
    }
    logits = model(inputs=inputs).logits
    return {name: keras.ops.convert_to_numpy(value)[0] for name, value in logits.items()}


@pytest.mark.parametrize("num_chunks", [1, 5, 24, None])
def test_videos_decoded_in_parts_are_those_decoded_at_once(
    multimodal: Any, num_chunks: int | None
) -> None:
    expected = whole(multimodal)
    decoded = tfzoo.autoencode_video(multimodal, CLIP, SOUND, num_chunks=num_chunks)
    image = expected["image"].reshape(2, 8, 12, 3)
    for found, value in ((decoded.frames, image), (decoded.audio, expected["audio"])):
        np.testing.assert_allclose(found, value, atol=1e-5 * np.abs(value).max())
        assert value.std() > 1e-3, "the same everywhere would prove nothing"
        assert found.dtype == np.float32
    scores = np.exp(expected["label"] - expected["label"].max())
    np.testing.assert_allclose(decoded.scores, scores / scores.sum(), rtol=1e-3, atol=1e-7)
    images = decoded.images()
    assert (images.dtype, images.shape) == (np.uint8, (2, 8, 12, 3))
    np.testing.assert_allclose(images / 255, decoded.frames.clip(0, 1), atol=0.5 / 255 + 1e-6)


@pytest.mark.slow
def test_the_encoder_runs_once_and_chunks_do_not_pile_up(
    multimodal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, encoded, kept, longest = multimodal.perceiver, [], [], []
    encode, decode = core.encode, core.decode

    def counted(data: Any, *args: Any, **kwargs: Any) -> Any:
        encoded.append(weakref.ref(data.tokens))
        return encode(data, *args, **kwargs)

    def watched(latents: Any, data: Any, points: Any) -> Any:
        gc.collect()
        assert sum(ref() is not None for ref in kept) <= 3, "outputs of earlier chunks are alive"
        assert encoded[0]() is None, "the tokens are alive"
        longest.append(len(points["image"]))
        outputs = decode(latents, data, points)
        kept.extend(weakref.ref(value) for value in outputs.logits.values())
        return outputs

    for name, function in (("encode", counted), ("decode", watched)):
        monkeypatch.setitem(vars(core), name, function)
    tfzoo.autoencode_video(multimodal, CLIP, SOUND, num_chunks=12)
    assert len(encoded) == 1
    assert longest == [16] * 12
    assert len(kept) == 36


def test_forms_of_video_and_sound(multimodal: Any) -> None:
    decode = partial(tfzoo.autoencode_video, multimodal, num_chunks=1)
    expected = decode(CLIP, SOUND)
    for form in (FRAMES, list(CLIP), CLIP.transpose(0, 3, 1, 2)):
        found = decode(form, SOUND[:, None].astype("float64"))
        np.testing.assert_allclose(found.frames, expected.frames, atol=1e-6)
    whole_numbers = np.rint(SOUND * 16384).astype(np.int16)
    first, second = decode(CLIP, whole_numbers), decode(CLIP, whole_numbers / 32768)
    np.testing.assert_array_equal(first.audio, second.audio)


def test_videos_that_cannot_be(multimodal: Any) -> None:
    def refused(message: str, video: Any, sound: Any, **options: Any) -> None:
        with pytest.raises(ValueError, match=message):
            tfzoo.autoencode_video(multimodal, video, sound, **options)

    refused(r"expected 2 frames \(num_frames\), got 1", CLIP[:1], SOUND)
    refused("expected pixels as uint8, got float64", CLIP / 255, SOUND)
    refused("expected 96 samples of one channel", CLIP, SOUND[:-1])
    refused(r"got shape \(96, 2\)", CLIP, np.stack([SOUND, SOUND], axis=1))
    refused("floats within -1 to 1, got float32", CLIP, 3 * SOUND)
    refused("floats within -1 to 1, got float32", CLIP, SOUND * np.nan)
    refused("expected int16, or floats within -1 to 1, got int64", CLIP, np.zeros(96, int))
    refused("num_chunks: expected 1 to 24", CLIP, SOUND, num_chunks=25)
    refused("num_chunks: expected 1 to 24", CLIP, SOUND, num_chunks=0)
    with pytest.raises(TypeError, match="expected the sound of the frames, got None"):
        tfzoo.autoencode_video(multimodal, CLIP, None)
    with pytest.raises(TypeError, match="got a str"):
        tfzoo.autoencode_video("model", CLIP, SOUND)
    damaged = make("MultimodalAutoencoding", **VIDEO)
    damaged.weights[0].assign(damaged.weights[0] * np.nan)
    with pytest.raises(ValueError, match="outputs are not finite"):
        tfzoo.autoencode_video(damaged, CLIP, SOUND)
