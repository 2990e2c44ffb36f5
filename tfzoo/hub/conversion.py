"""Safetensors that the hub itself has made of a repository's pickles, and proposes to its owner."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tfzoo.hub import Repository, cache_folder, explain, file_names, is_path, repository_of

__all__ = ["converted_revision"]

# The hub's own account that proposes safetensors for repositories that have pickles alone. Anybody
# may propose files; only this one's are taken.
_CONVERTER = "SFconvertbot"
_KEPT = "tfzoo-converted"  # where the cache keeps what was found, for when there is no network


def converted_revision(
    name_or_path: str | os.PathLike[str],
    pickles: Sequence[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> str | None:
    """The commit in which the hub itself has turned a repository's pickles into safetensors.

    It is an open pull request of the hub's converter that holds the very pickles that would be
    loaded otherwise: one that is older than the weights does not count. The cache keeps what was
    found, for when there is no network.

    Args:
        name_or_path: As in `resolve`, and so are the keywords; a folder has none.
        pickles: All files that would be loaded otherwise.

    Returns:
        A revision for `resolve`, None where there is none.

    Raises:
        HubError: The name has a wrong form, or the hub fails to answer.
    """
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, os.PathLike) or is_path(text):
        return None
    repository = repository_of(text, revision, cache_dir, local_files_only, token)
    folder = f"models--{text.replace('/', '--')}"
    name = f"of-{quote(revision or 'main', safe='')}"
    kept = Path(cache_folder(repository), folder, "refs", _KEPT, name)
    if repository.offline is None:
        try:
            found = _proposed(repository, file_names(pickles))
        except ConnectionError:
            pass
        else:
            kept.unlink(missing_ok=True)
            if found:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(found)
    return kept.read_text() if kept.is_file() else None


def _proposed(repository: Repository, pickles: tuple[str, ...]) -> str | None:
    """The commit of a proposal of the converter with the same pickles.

    Raises:
        ConnectionError: The hub cannot be reached.
        HubError: It fails.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import HfHubHTTPError

    try:
        _, wanted = _etags(repository, pickles, repository.revision)
        for proposal in HfApi(token=repository.token).get_repo_discussions(
            repository.name, author=_CONVERTER, discussion_type="pull_request"
        ):
            if (proposal.author, proposal.status) == (_CONVERTER, "open"):
                commit, found = _etags(repository, pickles, f"refs/pr/{proposal.num}")
                if found == wanted:
                    return commit
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 500)
        if status >= 500:
            raise explain(error, repository, "discussions") from error
        # No such pickles, or no discussions: `resolve` says what is wrong, if something is.
    except (OSError, *HfHubHTTPError.__bases__) as error:
        raise ConnectionError(str(error)) from error
    return None


def _etags(
    repository: Repository, files: tuple[str, ...], revision: str | None
) -> tuple[str | None, list[str | None]]:
    """The commit of a revision, and what tells the contents of its files apart."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    found = [
        get_hf_file_metadata(
            hf_hub_url(repository.name, file, revision=revision), token=repository.token
        )
        for file in files
    ]
    return found[0].commit_hash, [file.etag for file in found]
