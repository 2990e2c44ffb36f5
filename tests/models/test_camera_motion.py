"""The checkpoint that ships with tfzoo, on photos and videos that it never saw in training."""

from __future__ import annotations

import numpy as np
import pytest

import tfzoo
from recipes.camera_motion import LABELS, MIRRORED, REVERSED, balanced_clips, make_clip, photos
from tests.support.paths import FIXTURES
from tfzoo.io import read_video

pytestmark = pytest.mark.slow
VIDEOS = FIXTURES / "videos"
CLIPS = 350


class Classifier:
    """Model and processor of the shipped folder; frames in, labels out."""

    def __init__(self) -> None:
        folder = tfzoo.default_checkpoint()
        self.model = tfzoo.TFAutoModelForVideoClassification.from_pretrained(folder)
        self.processor = tfzoo.AutoImageProcessor.from_pretrained(folder)

    def __call__(self, clips) -> list[str]:
        inputs = self.processor([list(clip) for clip in clips], return_tensors="np")
        pixels = {"pixel_values": inputs["pixel_values"]}
        logits = self.model.predict(pixels, batch_size=100, verbose=0)["logits"]
        return [self.model.config.id2label[i] for i in logits.argmax(-1).tolist()]


@pytest.fixture(scope="module")
def classify():
    return Classifier()


@pytest.fixture(scope="module")
def clips():
    return list(balanced_clips(photos("test"), CLIPS, np.random.default_rng(20), size=80))


@pytest.fixture(scope="module")
def answers(classify, clips):
    return classify([clip for clip, _ in clips])


def agreement(a, b) -> float:
    return float(np.mean(np.array(a) == np.array(b)))


def test_clips_of_unseen_photos_are_told_apart(answers, clips):
    assert agreement(answers, [LABELS[label] for _, label in clips]) >= 0.97


def test_no_class_is_neglected(answers, clips):
    truth = np.array([LABELS[label] for _, label in clips])
    answers = np.array(answers)
    assert min(agreement(answers[truth == label], label) for label in LABELS) >= 0.92


def test_a_mirrored_clip_pans_to_the_other_side(classify, answers, clips):
    mirrored = classify([clip[:, :, ::-1] for clip, _ in clips])
    assert agreement(mirrored, [MIRRORED[answer] for answer in answers]) >= 0.95


def test_a_clip_played_backwards_moves_the_other_way(classify, answers, clips):
    backwards = classify([clip[::-1] for clip, _ in clips])
    assert agreement(backwards, [REVERSED[answer] for answer in answers]) >= 0.95


def test_the_folder_is_small_and_names_its_classes(classify):
    files = [path for path in tfzoo.default_checkpoint().iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    assert tuple(classify.model.config.id2label[i] for i in range(7)) == LABELS


@pytest.mark.parametrize("name", ["bigbuckbunny.mp4", "nasa_13013.mp4"])
def test_a_camera_on_its_tripod_is_still_though_the_scene_moves(classify, name):
    """Seen by eye: a rabbit stretches, a worker hardly stirs, the backgrounds stay in place."""
    config = classify.model.config
    how = {"sampling": config.sampling, "frame_sample_rate": config.frame_sample_rate}
    clip = read_video(VIDEOS / name, num_frames=config.num_frames, **how)
    assert classify([clip.frames]) == ["still"]


def test_a_window_that_moves_over_a_real_video_is_seen(classify):
    """A worker's lift and a swaying load, filmed almost at rest: the window adds the motion."""
    ways = {"pan left": (-1, 0), "pan right": (1, 0), "pan up": (0, -1), "pan down": (0, 1)}
    found, wanted = [], []
    for start in (0, 40, 80, 210, 250, 300):
        frames = read_video(VIDEOS / "nasa_13013.mp4", indices=np.arange(8) + start).frames
        for label, (x, y) in ways.items():
            steps = 4 * (np.arange(8) - 3.5)
            corners = zip((36 + y * steps).astype(int), (106 + x * steps).astype(int), strict=True)
            window = [
                f[r : r + 108, c : c + 108] for f, (r, c) in zip(frames, corners, strict=True)
            ]
            found += classify([window])
            wanted.append(label)
    assert agreement(found, wanted) >= 0.95


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nothing_to_see_is_still(classify, level):
    assert classify([np.full((8, 90, 120, 3), level, np.uint8)]) == ["still"]


def test_the_same_seed_makes_the_same_clip():
    first, again, other = (
        make_clip(photos("test")[0], "zoom in", np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
