"""Where a model was loaded from, and the processor's and tokenizer's files that lie there."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from tfzoo.core.config import CONFIG_NAME
from tfzoo.core.files import is_keras_file
from tfzoo.core.replacing import destination
from tfzoo.hub import HubError, HubOptions, resolve

__all__ = ["PROCESSOR_FILES", "Source"]

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


@dataclass(frozen=True)
class Source:
    """The checkpoint that a model was loaded from.

    Attributes:
        name: Absolute path of the folder, or name of the repository.
        options: Where it was looked up; of a repository with the commit that was found.
    """

    name: str | Path
    options: HubOptions

    @classmethod
    def of(cls, name_or_path: str | Path, options: HubOptions) -> Source | None:
        """The source of what has just been loaded; None where there is no config.json.

        Args:
            name_or_path: Folder, file in it, repository name, or `.keras` file, in whose folder
                the processor's files are.
            options: Where it was looked up.
        """
        if is_keras_file(name_or_path):
            return cls(Path(os.path.expanduser(name_or_path)).absolute().parent, HubOptions())
        try:
            folder = resolve(name_or_path, CONFIG_NAME, replace(options, local_files_only=True))
        except HubError:
            return None
        if os.path.exists(os.path.expanduser(name_or_path)):
            return cls(folder.absolute(), HubOptions())
        for _ in Path(options.subfolder or "").parts:
            folder = folder.parent
        return cls(name_or_path, replace(options, revision=folder.name))

    def copy_processor(self, folder: Path) -> None:
        """Copy the files of the processor; what the folder has of its own stays as a whole.

        Args:
            folder: Where `updating` writes to.

        Raises:
            OSError: A file cannot be read or written.
        """
        try:
            local = replace(self.options, local_files_only=True)
            is_folder = isinstance(self.name, Path)  # of a `.keras` file, without a config.json
            source = Path(self.name) if is_folder else resolve(self.name, CONFIG_NAME, local)
        except HubError:  # it has been removed meanwhile
            return
        for names in (_SETTINGS, _TOKENIZER):  # the parts of a processor, which fit together
            places = (folder, destination(folder))
            if any((place / name).exists() for place in places for name in names):
                continue
            for name in names:
                if (source / name).is_file():
                    shutil.copyfile(source / name, folder / name)
