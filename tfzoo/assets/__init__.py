"""The small trained checkpoints that ship with the package, in PyTorch's layout."""

from __future__ import annotations

from pathlib import Path

__all__ = ["default_checkpoint", "shipped_checkpoints"]

_HOME = Path(__file__).parent


def shipped_checkpoints() -> dict[str, Path]:
    """Names and folders of all checkpoints that ship with tfzoo, in alphabetical order.

    Example:
        >>> "timesformer-camera-motion" in shipped_checkpoints()
        True
    """
    return {path.parent.name: path.parent for path in sorted(_HOME.glob("*/config.json"))}


def default_checkpoint(name: str = "timesformer-camera-motion") -> Path:
    """Folder of a checkpoint that ships with tfzoo.

    Args:
        name: Its name; the default classifies the motion of a camera.

    Raises:
        FileNotFoundError: No checkpoint of that name ships with tfzoo.

    Example:
        >>> default_checkpoint().name
        'timesformer-camera-motion'
    """
    shipped = shipped_checkpoints()
    if name not in shipped:
        raise FileNotFoundError(
            f"tfzoo ships no checkpoint {name!r}; it ships {', '.join(shipped)}."
        )
    return shipped[name]
