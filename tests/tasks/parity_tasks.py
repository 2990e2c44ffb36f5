"""Perceiver's whole tasks against the living reference, put together by hand as its users do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfzoo
from tests.support import reference
from tests.support.paths import FIXTURES

torch, transformers = reference.torch, reference.transformers
FLOW = FIXTURES / "flow"
FRAMES = [np.array(Image.open(FLOW / f"sintel_{i}.png")) for i in (16, 17)]
TINY: dict[str, Any] = {
    "num_latents": 6,
    "d_latents": 24,
    "d_model": 16,
    "num_self_attends_per_block": 2,
    "num_self_attention_heads": 3,
    "num_cross_attention_heads": 1,
}


def both(task: str, folder: Path, **fields: Any) -> tuple[Any, Any]:
    """A small random model on both sides."""
    return reference.both(f"PerceiverFor{task}", {**TINY, **fields}, folder)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def patches_of(frames: np.ndarray) -> Any:
    """3 x 3 patches as the reference's own test extracts them."""
    x = torch.as_tensor(frames).permute(0, 3, 1, 2).float() / 255.0 * 2 - 1
    x = torch.nn.functional.pad(x, (1, 1, 1, 1))
    x = x.unfold(2, 3, 1).unfold(3, 3, 1).permute(0, 4, 5, 1, 2, 3)
    return x.reshape(x.shape[0], 27, *x.shape[-2:])


def test_patches() -> None:
    expected = patches_of(np.stack(FRAMES)).numpy()
    np.testing.assert_allclose(tfzoo.flow_patches(np.stack(FRAMES)), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("size", [(16, 24), (30, 55)])
def test_flow(size: tuple[int, int], tmp_path: Path) -> None:
    oracle, model = both("OpticalFlow", tmp_path, train_size=[16, 24])
    pair = np.stack(FRAMES)[:, : size[0], : size[1]]
    total, weights = torch.zeros(*size, 2), torch.zeros(*size, 1)
    rows, columns = torch.arange(16), torch.arange(24)
    nearest = torch.minimum(
        torch.minimum(rows + 1, 16 - rows)[:, None], torch.minimum(columns + 1, 24 - columns)
    )[..., None]
    for y in sorted({*range(0, size[0] - 16, 12), size[0] - 16}):
        for x in sorted({*range(0, size[1] - 24, 20), size[1] - 24}):
            with torch.no_grad():
                tile = patches_of(pair[:, y : y + 16, x : x + 24])[None]
                flow = oracle(inputs=tile).logits[0]
            total[y : y + 16, x : x + 24] += nearest * flow
            weights[y : y + 16, x : x + 24] += nearest
    found = tfzoo.compute_flow(model, *pair, min_overlap=4, batch_size=2)
    assert_close(found, (total / weights).numpy())


def test_masked_bytes(tmp_path: Path) -> None:
    oracle, model = both("MaskedLM", tmp_path, max_position_embeddings=32)
    text = "some w[MASK]rds m[MASK]ssing"
    tokenizer = transformers.PerceiverTokenizer(model_max_length=32)
    inputs = tokenizer(text, padding="max_length", return_tensors="pt")
    with torch.no_grad():
        logits = oracle(**inputs).logits[0]
    places = (inputs.input_ids[0] == tokenizer.mask_token_id).nonzero()[:, 0]
    expected = torch.softmax(logits[places], -1)[:, 6:].topk(4)
    filled = tfzoo.fill_mask(model, tfzoo.PerceiverTokenizer(), text, top_k=4)
    for row, values, indices in zip(filled.candidates, *expected, strict=True):
        assert [token for token, _ in row] == [chr(int(index)) for index in indices]
        np.testing.assert_allclose([p for _, p in row], values, rtol=1e-4)


def test_images(tmp_path: Path) -> None:
    oracle, model = both("ImageClassificationConvProcessing", tmp_path, num_labels=4)
    images = {"size": 40, "crop_size": 44}
    pixels = transformers.PerceiverImageProcessor(**images)(FRAMES[0], return_tensors="pt")
    with torch.no_grad():
        expected = torch.softmax(oracle(**pixels).logits[0], -1).sort(descending=True)
    processor = tfzoo.PerceiverImageProcessor(**images)
    ranking = tfzoo.classify_image(model, FRAMES[0], processor)
    names = [oracle.config.id2label[int(i)] for i in expected.indices]
    assert [label for label, _ in ranking] == names
    np.testing.assert_allclose([p for _, p in ranking], expected.values, rtol=1e-4)


def test_videos(tmp_path: Path) -> None:
    """The documented loop over chunks."""
    oracle, model = both(
        "MultimodalAutoencoding",
        tmp_path,
        num_frames=2,
        output_shape=[1, 2, 8, 12],
        image_size=12,
        audio_samples_per_frame=48,
        samples_per_patch=4,
        output_num_channels=16,
        num_labels=5,
    )
    size = {"height": 8, "width": 12}
    processor = transformers.PerceiverImageProcessor(size=size, crop_size=size, do_normalize=False)
    audio = torch.sin(torch.arange(96) / 5)
    inputs = {
        "image": processor(FRAMES, return_tensors="pt").pixel_values[None],
        "audio": audio[None, :, None],
        "label": torch.zeros(1, 5),
    }
    parts = []
    for chunk in range(8):
        points = {
            "image": torch.arange(24 * chunk, 24 * (chunk + 1)),
            "audio": torch.arange(3 * chunk, 3 * (chunk + 1)),
            "label": None,
        }
        with torch.no_grad():
            parts.append(oracle(inputs=inputs, subsampled_output_points=points).logits)
    decoded = tfzoo.autoencode_video(model, FRAMES, audio.numpy(), num_chunks=8)
    image = torch.cat([part["image"] for part in parts], 1).numpy().reshape(2, 8, 12, 3)
    assert_close(decoded.frames, image)
    assert_close(decoded.audio, torch.cat([part["audio"] for part in parts], 1)[0].numpy())
    assert_close(decoded.scores, torch.softmax(parts[0]["label"][0], -1).numpy())
