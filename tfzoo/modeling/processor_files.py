"""The processor's and tokenizer's files beside a model's checkpoint."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from tfzoo.core.config import CONFIG_NAME
from tfzoo.core.replacing import destination
from tfzoo.hub import HubError, HubOptions, resolve

__all__ = ["PROCESSOR_FILES", "copy_processor", "processor_folder"]

_SETTINGS = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
#: Every file that a processor may be read from.
PROCESSOR_FILES = (*_SETTINGS, *_TOKENIZER)


def processor_folder(name_or_path: str | Path, options: HubOptions) -> Path | None:
    """The local folder of a checkpoint that has just been loaded; None if it has no config.json.

    Args:
        name_or_path: Folder, file in it, or repository name.
        options: Where it was looked up.
    """
    try:
        folder = resolve(name_or_path, CONFIG_NAME, replace(options, local_files_only=True))
    except HubError:
        return None
    return folder.absolute()


def copy_processor(source: Path | None, folder: Path) -> None:
    """Copy the files of a processor; what the folder has of its own stays as a whole.

    Args:
        source: Folder that may have such files; None for none.
        folder: Where `updating` writes to.

    Raises:
        OSError: A file cannot be read or written.
    """
    for names in (_SETTINGS, _TOKENIZER):  # the parts of a processor, which fit together
        there = (folder, destination(folder))
        if source is None or any((place / name).exists() for place in there for name in names):
            continue
        for name in names:
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
