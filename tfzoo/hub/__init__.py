"""From the name of a checkpoint to a local folder: the only module that knows the model hub.

A name is a folder, a file in a folder, or a repository `org/name` that is looked up in the local
cache and, unless this process is offline, downloaded into it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

__all__ = [
    "DEFAULTS",
    "HubError",
    "HubFileNotFoundError",
    "HubOptions",
    "Repository",
    "explain",
    "file_names",
    "is_path",
    "resolve",
]

_OFFLINE_VARIABLES = ("TFZOO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = {"1", "on", "yes", "true"}
_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".h5", ".json", ".keras", ".pt", ".pth"}

# `org/name`: letters, digits, '.', '_', '-'; no edge may be '.' or '-', and '--' or '..' would be
# ambiguous in the cache, whose folders are called models--org--name.
_PART = r"\w(?:[\w.-]*\w)?"
_REPOSITORY = re.compile(rf"(?!.*(?:--|\.\.))(?!.*\.git$){_PART}/{_PART}", re.ASCII)
_LONGEST_REPOSITORY = 96


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
)


@dataclass(frozen=True)
class HubOptions:
    """Where to look a checkpoint up: made once at an entry point and passed on as one value.

    Attributes:
        revision: Branch, tag or commit of the repository; a local folder has none.
        cache_dir: Folder of the download cache; the hub's own default if None.
        local_files_only: Use the cache only, as if offline.
        token: Access token; by default the one in `HF_TOKEN` or of the last login.

    Example:
        >>> options, others = HubOptions.split({"revision": "v2", "num_labels": 10})
        >>> options.revision, others
        ('v2', {'num_labels': 10})
    """

    revision: str | None = None
    cache_dir: str | os.PathLike[str] | None = None
    local_files_only: bool = False
    token: str | bool | None = field(default=None, repr=False)

    @classmethod
    def split(cls, keywords: Mapping[str, Any]) -> tuple[HubOptions, dict[str, Any]]:
        """The options among the keywords of a `from_pretrained`, and all other keywords."""
        names = {option.name for option in fields(cls)}
        own = {name: value for name, value in keywords.items() if name in names}
        return cls(**own), {name: value for name, value in keywords.items() if name not in names}

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
        HubError: The name has a wrong form.
    """

    name: str
    options: HubOptions
    kind: str = "model"

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.name) or len(self.name) > _LONGEST_REPOSITORY:
            raise HubError(
                f"{self.name!r} is neither a file or folder here nor the name of a repository: "
                "expected 'org/name' of letters, digits, '-', '_' and '.', such as "
                "'facebook/timesformer-base-finetuned-k400'."
            )

    def __str__(self) -> str:
        revision = self.options.revision
        return f"{self.name!r}" + (f" at revision {revision!r}" if revision else "")

    @property
    def offline(self) -> str | None:
        """What forbids the network, in words; None if it is allowed."""
        return "local_files_only=True" if self.options.local_files_only else _offline_variable()

    @property
    def cache(self) -> str:
        """The folder of the download cache."""
        from huggingface_hub import constants

        given = self.options.cache_dir
        return constants.HF_HUB_CACHE if given is None else os.fspath(Path(given).expanduser())


def resolve(
    name_or_path: str | os.PathLike[str],
    filenames: str | Sequence[str],
    options: HubOptions = DEFAULTS,
    *,
    optional: Sequence[str] = (),
    kind: str = "model",
) -> Path:
    """The local folder that holds the files of a checkpoint, downloaded where needed.

    A local folder wins over a repository of the same name. All files of a repository come from
    one commit, even if somebody pushes to it meanwhile. Progress is shown on terminals only.

    Args:
        name_or_path: A folder, a file in it, or a repository `org/name`. A `Path` is never a
            repository.
        filenames: The required file or files, relative to the folder, with forward slashes.
        options: Where to look.
        optional: Files that are fetched if the repository has them. Offline, those in the cache
            are used.
        kind: "model", or "dataset" for a repository of data.

    Returns:
        The folder.

    Raises:
        HubFileNotFoundError: A path, repository, revision or required file does not exist, or is
            not in the cache while offline.
        HubError: The name has a wrong form, access is denied or the hub cannot be reached.
        ValueError: `filenames` is empty.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "config.json").write_text("{}")
        >>> resolve(folder, "config.json") == folder
        True
    """
    required = file_names(filenames)
    if not required:
        raise ValueError(
            "filenames is empty: name at least one file that the checkpoint must have."
        )
    text = os.fspath(name_or_path)
    path = Path(text).expanduser()
    if path.exists():
        return _local_folder(path, required)
    if isinstance(name_or_path, os.PathLike) or is_path(text):
        raise HubFileNotFoundError(
            f"There is no file or folder {str(path)!r} (looked from {os.getcwd()!r}). Check the "
            "path, or name a repository of the model hub as 'org/name'."
        )
    return _download(Repository(text, options, kind), required, file_names(optional))


def _offline_variable() -> str | None:
    """The setting of the environment that forbids network access, in words."""
    for variable in _OFFLINE_VARIABLES:
        value = os.environ.get(variable, "")
        if value.lower() in _TRUE:
            return f"{variable}={value}"
    return None


def file_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """`names` as a tuple.

    Raises:
        HubError: A name (it may come from a downloaded index) leads out of its folder.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/") or "\\" in name:
            raise HubError(
                f"{name!r} is not the name of a file inside a checkpoint: expected a relative "
                "path with forward slashes and without '..'."
            )
    return names


def _local_folder(path: Path, required: tuple[str, ...]) -> Path:
    folder = path if path.is_dir() else path.parent
    missing = [name for name in required if not (folder / name).is_file()]
    if missing:
        present = sorted(entry.name for entry in folder.iterdir())
        shown = ", ".join(present[:12]) + (", ..." if len(present) > 12 else "")
        raise HubFileNotFoundError(
            f"The folder {str(folder)!r} lacks {', '.join(missing)}; it has: {shown or 'nothing'}. "
            "Give the folder of a whole checkpoint, as save_pretrained writes it."
        )
    return folder


def is_path(text: str) -> bool:
    """Whether a name is that of a file or folder, existing or not, rather than a repository."""
    return (
        text.startswith((".", "~"))
        or text.count(os.sep) > 1
        or os.path.isabs(text)
        or Path(text).suffix in _WEIGHT_SUFFIXES
        or Path(text).exists()
    )


def _download(repository: Repository, required: tuple[str, ...], optional: tuple[str, ...]) -> Path:
    """Fetch all files; the first one fixes the commit of the others."""
    first = required[0]
    folder = _fetch(repository, first, repository.options.revision).parents[first.count("/")]
    commit = folder.name  # the cache's layout: snapshots/<commit>/<filename>
    for filename in required[1:]:
        _fetch(repository, filename, commit)
    for filename in optional:
        if not _known_absent(repository, filename, commit):
            try:
                _fetch(repository, filename, commit)
            except HubFileNotFoundError:
                continue
    return folder


def _fetch(repository: Repository, filename: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    fetch = partial(
        hf_hub_download,
        repo_id=repository.name,
        filename=filename,
        repo_type=repository.kind,
        revision=revision,
        cache_dir=repository.cache,
        token=repository.options.token,
    )
    with _in_plain_words(repository, filename):
        try:
            return Path(fetch(local_files_only=repository.offline is not None))
        except Exception as error:
            if not _got_no_answer(error):
                raise
            with suppress(FileNotFoundError):
                return Path(fetch(local_files_only=True))
            raise


def _got_no_answer(error: Exception) -> bool:
    """Whether the connection broke off during a call, after which a cached file will do.

    Without any connection, the client looks into the cache by itself. Some of its
    releases report a broken one by an error of their HTTP library, which is the first base of the
    errors that stand for a bad answer.
    """
    from huggingface_hub.utils import HfHubHTTPError

    return isinstance(error, HfHubHTTPError.__bases__[0]) and not isinstance(error, HfHubHTTPError)


def _known_absent(repository: Repository, filename: str, commit: str) -> bool:
    """Whether the cache remembers that this commit has no such file."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    found = try_to_load_from_cache(
        repository.name,
        filename,
        cache_dir=repository.cache,
        revision=commit,
        repo_type=repository.kind,
    )
    return found is _CACHED_NO_EXIST


@contextmanager
def _in_plain_words(repository: Repository, filename: str) -> Iterator[None]:
    """Turn whatever the hub's client raises into a HubError."""
    from huggingface_hub.utils import EntryNotFoundError, HfHubHTTPError, HFValidationError

    # The bases of HfHubHTTPError are those of the HTTP library in use, which depends on the
    # release; RuntimeError is how the hub's native downloader fails.
    http = HfHubHTTPError.__bases__
    try:
        yield
    except (OSError, RuntimeError, EntryNotFoundError, HFValidationError, *http) as error:
        raise explain(error, repository, filename) from error


def explain(error: Exception, repository: Repository, filename: str) -> HubError:
    """The HubError for what the hub's client raised while it looked for a file."""
    from huggingface_hub import utils

    if isinstance(error, utils.LocalEntryNotFoundError):  # before EntryNotFoundError, its base
        return _not_in_cache(error, repository, filename)
    for name, kind, words in _REASONS:
        if isinstance(error, getattr(utils, name)):
            return kind(words.format(repository=repository, file=filename))
    return HubError(
        f"{filename!r} of {repository} could not be fetched: {_summary(error)}. Check the "
        "connection, the access token, and the space and rights of the cache folder "
        f"{repository.cache!r}, then try again."
    )


def _not_in_cache(error: Exception, repository: Repository, filename: str) -> HubError:
    from huggingface_hub import constants

    place = f"{filename!r} of {repository} is not in the cache {repository.cache!r}"
    if repository.offline:
        return HubFileNotFoundError(
            f"{place}, and {repository.offline} forbids the download. Allow the network once, give "
            "the cache that has it (cache_dir= or HF_HUB_CACHE), or give a local folder."
        )
    # The client's own text nests several exceptions; it stays in the chain for those who need it.
    cause = error.__cause__ or error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    reason = f"HTTP status {status}" if status else type(cause).__name__
    return HubError(
        f"{place}, and the hub {constants.ENDPOINT} cannot be reached ({reason}). Check the "
        "connection and try again, or give a local folder."
    )


def _summary(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
