"""Frames in two packets: H.264 whose fields are pictures of their own."""

from __future__ import annotations

import av
import numpy as np
import pytest

from tests.io import synthetic
from tfzoo.io import read_video
from tfzoo.io.h264 import FieldPairs, field_pairs

HALF = 1800  # ticks of 1/90000 s between fields


def test_two_fields_are_one_frame_of_a_bare_stream(tmp_path):
    path = tmp_path / "camera.h264"
    path.write_bytes(b"".join(synthetic.interlaced(12, fields=True)))
    expected = synthetic.decode_all(path)
    assert synthetic.places(expected) == list(range(12))
    clip = read_video(path)
    assert clip.total_frames == 12
    np.testing.assert_array_equal(clip.frames, expected)
    assert synthetic.places(read_video(path, indices=[3, 0]).frames) == [3, 0]


@pytest.mark.parametrize("name", ["camera.mts", "camera.mkv", "camera.mp4"])
def test_two_fields_are_one_frame_of_a_container(tmp_path, name):
    units = synthetic.interlaced(12, fields=True)
    path = synthetic.muxed(tmp_path / name, units, HALF)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert sum(bool(packet.size) for packet in container.demux(stream)) == 24
    clip = read_video(path)
    assert synthetic.places(clip.frames) == list(range(12))
    assert clip.duration == pytest.approx(0.48, abs=0.003)
    assert clip.fps == pytest.approx(25, abs=0.2)
    assert synthetic.places(read_video(path, indices=[3, 0, 11]).frames) == [3, 0, 11]


def test_frames_among_fields(tmp_path):
    fields, frames = (synthetic.interlaced(9, fields=kind) for kind in (True, False))
    units = [*fields[:6], *frames[3:5], *fields[10:]]
    path = tmp_path / "mixed.h264"
    path.write_bytes(b"".join(units))
    assert synthetic.places(synthetic.decode_all(path)) == list(range(9))
    assert synthetic.places(read_video(path).frames) == list(range(9))


def test_interlaced_frames_are_one_packet_each(tmp_path):
    path = tmp_path / "frames.h264"
    path.write_bytes(b"".join(synthetic.interlaced(5, fields=False)))
    assert synthetic.places(read_video(path).frames) == list(range(5))


def test_interlaced_macroblocks_of_a_real_encoder(tmp_path):
    path = synthetic.make_video(tmp_path / "x264.mp4", codec_options={"flags": "+ildct"})
    with av.open(str(path)) as container:
        pairs = field_pairs(container.streams.video[0].codec_context)
    assert pairs is not None
    assert pairs.sequence.has_fields
    assert synthetic.places(read_video(path).frames) == list(range(40))


def test_progressive_streams_are_not_searched(tmp_path):
    path = synthetic.make_video(tmp_path / "plain.mp4", 3)
    with av.open(str(path)) as container:
        assert field_pairs(container.streams.video[0].codec_context) is None


def test_fields_that_do_not_belong_together():
    units = synthetic.interlaced(4, fields=True)
    pairs = FieldPairs(None)
    assert [pairs.complete_a_frame(unit) for unit in units[:2]] == [False, True]
    # A lost field: the next of the same frame number and parity starts anew.
    after_a_loss = [units[2], *units[4:6]]
    assert [pairs.complete_a_frame(unit) for unit in after_a_loss] == [False, False, True]


@pytest.mark.parametrize("extradata", [None, b"", b"\1", b"\1" + b"\xff" * 9, b"\0\0\0\1\x67\x4d"])
def test_parameter_sets_that_say_nothing(extradata):
    pairs = FieldPairs(extradata)
    assert pairs.sequence is None
    assert not pairs.complete_a_frame(b"\0\0\0\1\x65\x88\x80")
