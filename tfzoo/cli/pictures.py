"""The files that commands draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfzoo.cli.console import UsageError

__all__ = ["check_target"]


def check_target(
    option: str, target: Path, sources: Sequence[str | Path], videos: bool = False
) -> None:
    """Refuse a file that cannot be written, or that must not be overwritten.

    Args:
        option: The option that named it.
        target: The file.
        sources: The inputs.
        videos: Whether it may be a video.

    Raises:
        UsageError: A suffix that stands for no format, a folder, or one of the inputs.
    """
    from tfzoo.io.image_writer import can_write
    from tfzoo.io.video_writer import VIDEO_FORMATS

    is_video = videos and target.suffix.lower() in VIDEO_FORMATS
    if not is_video and not can_write(target.suffix):
        raise UsageError(
            f"{option} takes the format from the file's suffix, e.g. .png or .jpg, and cannot "
            f"write {target.suffix or 'a file without one'}: {target}."
        )
    if target.is_dir():
        raise UsageError(f"{option} {target} is a folder: name a file in it.")
    if target.exists() and any(Path(s).exists() and target.samefile(s) for s in sources):
        raise UsageError(f"{option} {target} is the input itself: choose another name.")
