"""The small trained checkpoints that ship with the package, in PyTorch's layout."""

from __future__ import annotations

from pathlib import Path

__all__ = ["default_checkpoint"]


def default_checkpoint(name: str = "timesformer-camera-motion") -> Path:
    """Folder of a checkpoint that ships with tfzoo.

    Args:
        name: Its name; the default classifies the motion of a camera.

    Raises:
        FileNotFoundError: There is none of that name; lists those that there are.

    Example:
        >>> default_checkpoint().name
        'timesformer-camera-motion'
    """
    home = Path(__file__).parent
    folder = home / name
    if not (folder / "config.json").is_file():
        names = sorted(path.parent.name for path in home.glob("*/config.json"))
        raise FileNotFoundError(f"tfzoo ships no checkpoint {name!r}; it ships {', '.join(names)}.")
    return folder
