# ruff: noqa
# fmt: off
"""Where the names are, for editors and type checkers; made by `python -m tests.support.stub`."""

from tfzoo.io.errors import ImageError as ImageError
from tfzoo.io.errors import VideoError as VideoError
from tfzoo.io.image_reader import read_frames as read_frames
from tfzoo.io.image_reader import read_image as read_image
from tfzoo.io.image_reader import to_rgb as to_rgb
from tfzoo.io.sampling import choose_indices as choose_indices
from tfzoo.io.sampling import sample_frame_indices as sample_frame_indices
from tfzoo.io.video_reader import VideoClip as VideoClip
from tfzoo.io.video_reader import read_video as read_video
from tfzoo.io.video_writer import write_video as write_video
