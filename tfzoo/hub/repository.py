"""Which repository, where to look for it, and what is said when something is not there."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tfzoo.assets import shipped_checkpoints
from tfzoo.core.untrusted import escaped

__all__ = [
    "DEFAULTS",
    "HubError",
    "HubFileNotFoundError",
    "HubOptions",
    "Repository",
    "explain",
    "is_local",
    "not_cached",
    "offline_variable",
]

_OFFLINE_VARIABLES = ("TFZOO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = {"1", "on", "yes", "true"}

# `org/name`: letters, digits, '.', '_', '-'; no edge may be '.' or '-', and '--' or '..' would be
# ambiguous in the cache, whose folders are called models--org--name.
_PART = r"\w(?:[\w.-]*\w)?"
_REPOSITORY = re.compile(rf"(?!.*(?:--|\.\.))(?!.*\.git$){_PART}/{_PART}", re.ASCII)
_LONGEST_REPOSITORY = 96
_REVISION = re.compile(r"(?!/)(?!.*\.\.)[^\s\x00-\x1f\\:?*\[~^]+(?<!/)")  # as git allows, nearly


class HubError(OSError):
    """A checkpoint could not be found or fetched; the message says what to do."""


class HubFileNotFoundError(HubError, FileNotFoundError):
    """The place was reached, and what was asked for is not there."""


# Errors of the hub's client (names in huggingface_hub.utils), ours for each, and its message. Some
# derive from others: the first match counts.
_LOG_IN = "log in with `hf auth login`, set HF_TOKEN or pass token=."
_REASONS = (
    (
        "GatedRepoError",
        HubError,
        "Access to {repository} is gated: accept its conditions on its page of the hub, then "
        + _LOG_IN,
    ),
    (
        "RepositoryNotFoundError",
        HubFileNotFoundError,
        "The hub has no repository {repository.name!r} that you may see. Check the spelling; if "
        "it is private, " + _LOG_IN,
    ),
    (
        "RevisionNotFoundError",
        HubFileNotFoundError,
        "{repository.name!r} has no revision {repository.options.revision!r}. Give an existing "
        "branch, tag or full commit hash, or none for the default branch.",
    ),
    (
        "EntryNotFoundError",
        HubFileNotFoundError,
        "The repository {repository} has no file {file!r}. Check that it holds a checkpoint of "
        "this kind, or name another revision.",
    ),
    ("LocalTokenNotFoundError", HubError, "token=True, but no token is stored: " + _LOG_IN),
)


@dataclass(frozen=True)
class HubOptions:
    """Where to look a checkpoint up: made once at an entry point and passed on as one value.

    Attributes:
        revision: Branch, tag or commit of the repository; a local folder has none.
        cache_dir: Folder of the download cache; the hub's own default if None.
        local_files_only: Use the cache only, as if offline.
        token: Access token; by default the one in `HF_TOKEN` or of the last login.
        subfolder: Folder inside of the repository or local folder that holds the checkpoint.

    Example:
        >>> options, others = HubOptions.split({"revision": "v2", "num_labels": 10})
        >>> options.revision, others
        ('v2', {'num_labels': 10})
    """

    revision: str | None = None
    cache_dir: str | os.PathLike[str] | None = None
    local_files_only: bool = False
    token: str | bool | None = field(default=None, repr=False)
    subfolder: str | None = ""

    @classmethod
    def split(cls, keywords: Mapping[str, Any]) -> tuple[HubOptions, dict[str, Any]]:
        """The options among the keywords of a `from_pretrained`, and all other keywords."""
        names = {option.name for option in fields(cls)}
        own = {name: value for name, value in keywords.items() if name in names}
        return cls(**own), {name: value for name, value in keywords.items() if name not in names}

    def inside(self, filename: str) -> str:
        """The path of a file of the checkpoint inside of the repository or local folder.

        Example:
            >>> HubOptions(subfolder="run-3/best").inside("config.json")
            'run-3/best/config.json'
        """
        return f"{self.subfolder.rstrip('/')}/{filename}" if self.subfolder else filename

    def keywords(self) -> dict[str, Any]:
        """The options as keywords of a `from_pretrained`."""
        return dict(vars(self))


DEFAULTS = HubOptions()


@dataclass(frozen=True)
class Repository:
    """A repository of the hub and how to get at it.

    Attributes:
        name: `org/name`.
        options: Where to look it up.
        kind: "model", or "dataset" for a repository of data.

    Raises:
        HubError: The name or the revision has a wrong form.
    """

    name: str
    options: HubOptions
    kind: str = "model"

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.name) or len(self.name) > _LONGEST_REPOSITORY:
            near = difflib.get_close_matches(self.name.lower(), shipped_checkpoints(), 1)
            raise HubError(
                f"{self.name!r} is neither a file or folder here nor the name of a repository: "
                "expected 'org/name' of letters, digits, '-', '_' and '.', such as "
                "'facebook/timesformer-base-finetuned-k400', or a short name of `tfzoo list`."
                + (f" Did you mean {near[0]!r}?" if near else "")
            )
        revision = self.options.revision
        if revision and not (isinstance(revision, str) and _REVISION.fullmatch(revision)):
            raise HubError(
                f"{revision!r:.200} is not a revision: expected the name of a branch or tag, or a "
                "commit, as git allows them."
            )

    def __str__(self) -> str:
        revision = self.options.revision
        return f"{self.name!r}" + (f" at revision {revision!r}" if revision else "")

    @property
    def offline(self) -> str | None:
        """What forbids the network, in words; None if it is allowed."""
        return "local_files_only=True" if self.options.local_files_only else offline_variable()

    @property
    def cache(self) -> str:
        """The folder of the download cache."""
        from huggingface_hub import constants

        given = self.options.cache_dir
        return constants.HF_HUB_CACHE if given is None else os.fspath(Path(given).expanduser())


def offline_variable() -> str | None:
    """The setting of the environment that forbids network access, in words."""
    for variable in _OFFLINE_VARIABLES:
        value = os.environ.get(variable, "")
        if value.lower() in _TRUE:
            return f"{variable}={value}"
    return None


def explain(error: Exception, repository: Repository, filename: str) -> HubError:
    """The HubError for whatever went wrong while a file was looked for on the hub."""
    from huggingface_hub import constants, utils

    if isinstance(error, HubError):
        return error
    for name, kind, words in _REASONS:
        if isinstance(error, getattr(utils, name, ())):
            return kind(words.format(repository=repository, file=filename))
    if is_local(error):
        return HubError(
            f"{filename!r} of {repository} cannot be written to the cache {repository.cache!r}: "
            f"{escaped(str(error))}. Check its space and rights, or name another by cache_dir=."
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = f"HTTP status {status}" if status else type(error).__name__
    return HubError(
        f"{not_cached(repository, filename)}, and the hub {constants.ENDPOINT} cannot be reached "
        f"({reason}). Check the connection and try again, or give a local folder."
    )


def not_cached(repository: Repository, filename: str) -> str:
    """The beginning of a sentence: that the cache does not have a file."""
    return f"{filename!r} of {repository} is not in the cache {repository.cache!r}"


def is_local(error: Exception) -> bool:
    """Whether an error is of a file here; those of the HTTP libraries are of their own types."""
    is_of_network = isinstance(error, (ConnectionError, TimeoutError))
    return isinstance(error, OSError) and type(error).__module__ == "builtins" and not is_of_network
