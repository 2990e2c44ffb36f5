"""Safetensors that the hub itself has made of a repository's pickles and proposes to its owner."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from tfzoo.core.replacing import replacing
from tfzoo.hub import DEFAULTS, HubError, HubOptions, Repository, file_names, is_path
from tfzoo.hub.download import Beat, RemoteFile, is_absence, look_up, patiently, read_page
from tfzoo.hub.repository import explain

__all__ = ["converted_revision"]

# The hub's own account, which proposes safetensors for repositories that only have pickles. Anybody
# may propose files; only those of this account are taken.
_CONVERTER = "SFconvertbot"
_KEPT = "tfzoo-converted"  # where the cache keeps what was found, for use without a network
_PAGES = 10  # of pull requests of one author


def converted_revision(
    name_or_path: str | os.PathLike[str],
    pickles: Sequence[str],
    options: HubOptions = DEFAULTS,
) -> str | None:
    """The commit in which the hub itself has turned a repository's pickles into safetensors.

    It is an open pull request of the hub's converter that holds the very pickles that would be
    loaded otherwise: one that is older than the weights does not count. The cache keeps what was
    found, for use without a network.

    Args:
        name_or_path: As in `resolve`; a folder has no such commit.
        pickles: All files that would be loaded otherwise.
        options: Where to look.

    Returns:
        A revision, or None.

    Raises:
        HubError: The name has a wrong form, or the hub fails to answer.
    """
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, os.PathLike) or is_path(text):
        return None
    repository = Repository(text, options)
    folder = f"models--{text.replace('/', '--')}"
    name = f"of-{quote(options.inside(options.revision or 'main'), safe='')}"
    kept = Path(repository.cache, folder, "refs", _KEPT, name)
    if repository.offline is None:
        files = file_names([options.inside(name) for name in pickles])
        try:
            found = patiently(lambda beat: _proposed(repository, files, beat))
        except ConnectionError:
            pass
        else:
            if found is None:
                kept.unlink(missing_ok=True)
            else:
                with replacing(kept, force=True) as path:
                    path.write_text(found)
    return kept.read_text() if kept.is_file() else None


def _proposed(repository: Repository, pickles: tuple[str, ...], beat: Beat) -> str | None:
    """The commit of a proposal by the converter that holds the same pickles.

    Raises:
        ConnectionError: The hub cannot be reached.
        HubError: It fails, or answers otherwise than a hub.
    """

    def etags(revision: str | None) -> list[RemoteFile]:
        return [look_up(repository, file, revision, beat) for file in pickles]

    try:
        wanted = [file.etag for file in etags(repository.options.revision)]
        for number in _numbers(repository, beat):
            try:
                found = etags(f"refs/pr/{number}")
            except Exception as error:
                if is_absence(error):  # it is older than some of the pickles
                    continue
                raise
            if [file.etag for file in found] == wanted:
                return found[0].commit
    except HubError:
        raise
    except Exception as error:  # those of the HTTP libraries have no common base
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is None:
            raise ConnectionError(str(error)) from error
        if status >= 500:
            raise explain(error, repository, "discussions") from error
        # No such pickles, or no discussions: `resolve` says what is wrong, if something is.
    return None


def _numbers(repository: Repository, beat: Beat) -> Iterator[int]:
    """The numbers of the converter's open pull requests."""
    from huggingface_hub import constants

    place = f"{constants.ENDPOINT}/api/models/{repository.name}/discussions"
    seen = 0
    for page in range(_PAGES):
        asked = urlencode({"type": "pull_request", "author": _CONVERTER, "p": page})
        answer = read_page(repository, f"{place}?{asked}", beat)
        try:
            for row in answer["discussions"]:
                seen += 1
                if (row["author"]["name"], row["status"]) == (_CONVERTER, "open"):
                    yield int(row["num"])
            if seen >= answer["count"] or not answer["discussions"]:
                return
        except (KeyError, TypeError, ValueError) as error:
            raise HubError(f"{place!r} does not answer as a model hub does.") from error
