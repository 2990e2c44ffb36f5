"""Safetensors that the hub itself has made of a repository's pickles and proposes to its owner."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tfzoo.core.files import replacing
from tfzoo.hub import DEFAULTS, HubOptions, Repository, explain, file_names, is_path

__all__ = ["converted_revision"]

# The hub's own account, which proposes safetensors for repositories that only have pickles. Anybody
# may propose files; only those of this account are taken.
_CONVERTER = "SFconvertbot"
_KEPT = "tfzoo-converted"  # where the cache keeps what was found, for use without a network


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
    name = f"of-{quote(options.revision or 'main', safe='')}"
    kept = Path(repository.cache, folder, "refs", _KEPT, name)
    if repository.offline is None:
        try:
            found = _proposed(repository, file_names(pickles))
        except ConnectionError:
            pass
        else:
            if found is None:
                kept.unlink(missing_ok=True)
            else:
                with replacing(kept, force=True) as path:
                    path.write_text(found)
    return kept.read_text() if kept.is_file() else None


def _proposed(repository: Repository, pickles: tuple[str, ...]) -> str | None:
    """The commit of a proposal by the converter that holds the same pickles.

    Raises:
        ConnectionError: The hub cannot be reached.
        HubError: It fails.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import HfHubHTTPError

    options = repository.options
    try:
        _, wanted = _etags(repository, pickles, options.revision)
        for proposal in HfApi(token=options.token).get_repo_discussions(
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
    """The commit of a revision, and the etags of its files."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    found = [
        get_hf_file_metadata(
            hf_hub_url(repository.name, file, revision=revision), token=repository.options.token
        )
        for file in files
    ]
    return found[0].commit_hash, [file.etag for file in found]
