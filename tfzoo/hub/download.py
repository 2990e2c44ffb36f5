"""Downloads from the model hub, in which nothing that a server says decides where a file goes.

The cache has the layout of the hub's own client, so that each finds what the other has fetched:

    models--org--name/refs/<revision>            the commit of a branch or tag
                      snapshots/<commit>/<file>  a link to
                      blobs/<etag>               the content of a file
                      .no_exist/<commit>/<file>  empty: the commit has no such file

That client takes commits and ETags for parts of paths as they come, and waits for a server as long
as that sends anything; it is used for the rest: sessions, tokens, errors, what is in the cache.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from tfzoo.core.replacing import replacing
from tfzoo.core.untrusted import escaped
from tfzoo.hub.repository import (
    HubError,
    HubFileNotFoundError,
    Repository,
    explain,
    is_local,
    not_cached,
    offline_variable,
)

__all__ = [
    "Beat",
    "RemoteFile",
    "download",
    "fetch",
    "is_absence",
    "is_address",
    "is_known_absent",
    "look_up",
    "patiently",
    "read_page",
]

#: Called with the number of bytes that have come, or with `ENOUGH` for an answer.
Beat = Callable[[int], None]

Result = TypeVar("Result")

PATIENCE = 60.0  # seconds in which a server has to answer, or to send this much
ENOUGH = 600_000  # bytes: 10 kB in a second

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")
_SIZE = re.compile(r"[0-9]{1,15}")
_HUB = "https://huggingface.co"  # a mirror may send its users there
_REDIRECTS = 5
_ATTEMPTS = 3  # in a row that bring nothing
_BLOCK = 2**16
_PAGE = 2**22  # bytes of JSON


@dataclass(frozen=True)
class RemoteFile:
    """What a server says of a file.

    Attributes:
        commit: Forty hexadecimal digits.
        etag: Letters, digits, '-' and '_'; other content has another one.
        size: In bytes.
        url: Where its content is.
    """

    commit: str
    etag: str
    size: int
    url: str


def patiently(work: Callable[[Beat], Result], server: str | None = None) -> Result:
    """Run `work` in a thread until it ends, or for as long as enough comes from the server.

    A thread, because nothing else ends a call in which a server sends one byte now and then.

    Args:
        work: Calls its argument with the bytes that have come, and ends by its error.
        server: What messages call the server; the hub where None.

    Returns:
        What `work` returns.

    Raises:
        HubError: Less than `ENOUGH` came within `PATIENCE`; or else what `work` raises.
    """
    from huggingface_hub import constants

    patience = max(PATIENCE, constants.HF_HUB_DOWNLOAD_TIMEOUT)
    is_over, arrived = threading.Event(), 0
    future: Future[Result] = Future()

    def beat(count: int) -> None:
        nonlocal arrived
        if is_over.is_set():
            raise HubError("Nobody waits for this download any longer.")
        arrived += count

    def run() -> None:
        try:
            future.set_result(work(beat))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="tfzoo.hub", daemon=True).start()
    try:
        while not wait([future], timeout=patience).done:
            if arrived < ENOUGH:
                raise HubError(
                    f"{server or f'The hub {constants.ENDPOINT}'} was given up: less than "
                    f"{ENOUGH:,} bytes and "
                    f"no answer came in {patience:.0f} seconds. Check the connection and try "
                    "again, or give a local folder."
                )
            arrived = 0
        return future.result()
    finally:
        is_over.set()


def is_address(text: Any) -> bool:
    """Whether something is the address of a file, of http or https."""
    return isinstance(text, str) and text.lower().startswith(("http://", "https://"))


def download(url: str, target: Path, limit: int) -> None:
    """Download the file of any address; no token is sent.

    Args:
        url: Of http or https; redirects lead from https to https alone.
        target: The file to write.
        limit: Bytes that it may have.

    Raises:
        HubError: This process is offline, the server cannot be reached, refuses or stalls, or the
            file is larger.
    """
    from huggingface_hub.utils import build_hf_headers

    if reason := offline_variable():
        raise HubError(f"{url!r:.200} is an address, and {reason} forbids the download.")
    headers = build_hf_headers(token=False) | {"Accept-Encoding": "identity"}

    def receive(beat: Beat) -> None:
        place = url
        for _ in range(_REDIRECTS + 1):
            with _get(place, headers) as (response, blocks), open(target, "wb") as out:
                onward = _target(response, place)
                if onward is None:
                    if response.status_code != 200:
                        raise _unexpected(response)
                    for block in blocks:
                        if out.tell() + len(block) > limit:
                            raise HubError(f"{url!r:.200} has more than {limit:,} bytes.")
                        out.write(block)
                        beat(len(block))
                    return
            place = onward
        raise _circle(place)

    try:
        patiently(receive, f"{url!r:.200}")
    except HubError:
        raise
    except Exception as error:  # those of the HTTP libraries have no common base
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = f"HTTP status {status}" if status else type(error).__name__
        raise HubError(f"{url!r:.200} cannot be downloaded ({reason}).") from error


def fetch(repository: Repository, filename: str, revision: str | None, beat: Beat) -> Path:
    """The file in the cache, downloaded unless it is there.

    A file of a branch is looked up on the hub; if that fails, the cached one will do.

    Args:
        repository: The repository, which may be offline.
        filename: A checked relative path.
        revision: Branch, tag or commit; the default branch if None.
        beat: Of `patiently`.

    Raises:
        HubFileNotFoundError: The hub has no such file, or it is offline and not in the cache.
        HubError: The hub cannot be reached, or what it says is refused.
    """
    revision = revision or "main"
    found = _cached(repository, filename, revision)
    kept = Path(found) if isinstance(found, str) else None
    if kept is not None and (repository.offline or _COMMIT.fullmatch(revision)):
        return kept
    if repository.offline:
        raise HubFileNotFoundError(
            f"{not_cached(repository, filename)}, and {repository.offline} forbids the download. "
            "Allow the network once, give the cache that has it (cache_dir= or HF_HUB_CACHE), or "
            "give a local folder."
        )
    try:
        try:
            file = _looked_up(repository, filename, revision, beat, 1 if kept else _ATTEMPTS)
        except Exception as error:
            if kept is None or is_absence(error):
                raise
            return kept
        return _stored(repository, filename, revision, file, beat)
    except HubError:
        raise
    except Exception as error:  # those of the HTTP libraries have no common base
        raise explain(error, repository, filename) from error


def look_up(repository: Repository, filename: str, revision: str | None, beat: Beat) -> RemoteFile:
    """Ask the hub for a file's commit, ETag, size and address.

    Raises:
        HubError: Its answer is not that of a hub, or leads in circles.
        Exception: Those of the hub's client and of its HTTP library.
    """
    url = _address(repository, filename, revision or "main")
    for _ in range(_REDIRECTS + 1):
        response = _head(url, repository)
        target = _target(response, url)
        if target is None or ("X-Repo-Commit" in response.headers and not _is_hub(target)):
            return _checked(response, url, target, beat)
        url = target
    raise _circle(url)


def read_page(repository: Repository, url: str, beat: Beat) -> Any:
    """A page of JSON from the hub.

    Raises:
        HubError: It is too large, or not JSON.
        Exception: Those of the HTTP library; ConnectionError for another status than 200.
    """
    content = bytearray()
    with _followed(url, repository) as (response, blocks):
        if response.status_code != 200:
            raise _unexpected(response)
        for block in blocks:
            content += block
            beat(len(block))
            if len(content) > _PAGE:
                raise HubError(f"{url!r} sends more than {_PAGE:,} bytes instead of a page.")
    beat(ENOUGH)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise HubError(f"{url!r} does not answer in JSON as a model hub does.") from error


def is_known_absent(repository: Repository, filename: str, commit: str) -> bool:
    """Whether the cache remembers that this commit has no such file."""
    from huggingface_hub import _CACHED_NO_EXIST

    return _cached(repository, filename, commit) is _CACHED_NO_EXIST


# -- what is asked of the hub -------------------------------------------------------------------


def _looked_up(
    repository: Repository, filename: str, revision: str, beat: Beat, attempts: int
) -> RemoteFile:
    """Ask again after errors that may pass; remember that the file does not exist."""
    from huggingface_hub.utils import EntryNotFoundError

    while True:
        try:
            return look_up(repository, filename, revision, beat)
        except EntryNotFoundError as error:
            commit = error.response.headers.get("X-Repo-Commit", "")
            if _COMMIT.fullmatch(commit):
                absent = _folder(repository) / ".no_exist" / commit / filename
                with contextlib.suppress(OSError):
                    absent.parent.mkdir(parents=True, exist_ok=True)
                    absent.touch()
            raise
        except _connection_errors() as error:
            attempts -= 1
            status = getattr(getattr(error, "response", None), "status_code", 500)
            passes = status >= 500 or status == 429
            if isinstance(error, HubError) or not attempts or not passes:
                raise
            time.sleep(_ATTEMPTS - attempts)


def _checked(response: Any, url: str, target: str | None, beat: Beat) -> RemoteFile:
    """What an answer says of a file, if it has the form that a hub's answer has."""
    headers = response.headers
    commit = headers.get("X-Repo-Commit", "")
    etag = headers.get("X-Linked-Etag") or headers.get("ETag", "")
    etag = etag.removeprefix("W/").strip('"')
    size = headers.get("X-Linked-Size") or ("" if target else headers.get("Content-Length", ""))
    for header, value, form in (
        ("X-Repo-Commit", commit, _COMMIT),
        ("ETag", etag, _ETAG),
        ("Content-Length", size, _SIZE),
    ):
        if not form.fullmatch(value):
            raise HubError(
                f"{url!r} does not answer as a model hub does: expected {header} of the form "
                f"{form.pattern}, got {value!r:.100}. Check HF_ENDPOINT, proxy and firewall."
            )
    beat(ENOUGH)
    return RemoteFile(commit, etag, int(size), target or url)


def _address(repository: Repository, filename: str, revision: str) -> str:
    from huggingface_hub import constants

    kind = "" if repository.kind == "model" else f"{repository.kind}s/"
    place = f"{constants.ENDPOINT}/{kind}{repository.name}/resolve"
    return f"{place}/{quote(revision, safe='')}/{quote(filename)}"


def _head(url: str, repository: Repository) -> Any:
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session, hf_raise_for_status

    session = get_session()
    follow = "follow_redirects" if _is_httpx(session) else "allow_redirects"
    response = session.request(
        "HEAD",
        url,
        headers=_headers(url, repository),
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
        **{follow: False},
    )
    if response.status_code >= 400:
        hf_raise_for_status(response)
    return response


@contextmanager
def _get(url: str, headers: dict[str, str]) -> Iterator[tuple[Any, Iterator[bytes]]]:
    """The answer to GET, and its body in blocks as it comes."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    session, timeout = get_session(), constants.HF_HUB_DOWNLOAD_TIMEOUT
    if _is_httpx(session):
        with session.stream(
            "GET", url, headers=headers, timeout=timeout, follow_redirects=False
        ) as response:
            yield response, response.iter_raw()
    else:
        with session.get(
            url,
            headers=headers,
            timeout=timeout,
            stream=True,
            allow_redirects=False,
            hooks={"response": _without_body},
        ) as response:
            yield response, response.iter_content(_BLOCK)


@contextmanager
def _followed(
    url: str, repository: Repository, more: Mapping[str, str] | None = None
) -> Iterator[tuple[Any, Iterator[bytes]]]:
    """`_get`, with further headers, from where redirects lead."""
    for _ in range(_REDIRECTS + 1):
        with _get(url, _headers(url, repository) | dict(more or {})) as (response, blocks):
            target = _target(response, url)
            if target is None:
                yield response, blocks
                return
        url = target
    raise _circle(url)


def _without_body(response: Any, **settings: Any) -> None:
    """A hook of requests, which reads the whole body of a redirect even where it follows none."""
    if response.is_redirect:
        response.close()


def _is_httpx(session: Any) -> bool:
    """Whether the client uses httpx (from its release 1.0 on) rather than requests."""
    return hasattr(session, "build_request")


def _headers(url: str, repository: Repository) -> dict[str, str]:
    """Headers of a request; the token goes to nobody but the hub."""
    from huggingface_hub.utils import build_hf_headers

    headers = build_hf_headers(token=repository.options.token) | {"Accept-Encoding": "identity"}
    if not _is_hub(url):
        headers.pop("authorization", None)
    return headers


def _is_hub(url: str) -> bool:
    """Whether scheme, host and port are the hub's."""
    from huggingface_hub import constants

    return urlsplit(url)[:2] in (urlsplit(constants.ENDPOINT)[:2], urlsplit(_HUB)[:2])


def _target(response: Any, url: str) -> str | None:
    """Where an answer redirects to, None if it does not.

    Raises:
        HubError: To a file, or from https to what is not.
    """
    place = response.headers.get("Location")
    if not 300 <= response.status_code < 400 or not place:
        return None
    allowed = ("https",) if url.startswith("https:") else ("https", "http")
    try:
        target = urljoin(url, place)
        parts = urlsplit(target)
        is_allowed = parts.scheme in allowed and bool(parts.hostname)
    except ValueError:  # not an address at all
        is_allowed = False
    if not is_allowed:
        raise HubError(
            f"{url!r} redirects to {place!r:.200}, which is refused: expected an address of "
            f"{' or '.join(allowed)}."
        )
    return target


def _circle(url: str) -> HubError:
    return HubError(f"More than {_REDIRECTS} redirects in a row, the last one to {url!r:.200}.")


def _unexpected(response: Any) -> ConnectionError:
    """The error of a status; `response` is where the HTTP libraries' errors have it."""
    error = ConnectionError(f"HTTP status {response.status_code}")
    error.response = response  # type: ignore[attr-defined]
    return error


def _connection_errors() -> tuple[type[Exception], ...]:
    """The bases of what the HTTP library raises: of requests OSError, of httpx its HTTPError."""
    from huggingface_hub.utils import HfHubHTTPError

    return (OSError, *HfHubHTTPError.__bases__)


def is_absence(error: Exception) -> bool:
    """Whether the hub itself says that there is no such revision or file."""
    from huggingface_hub.utils import EntryNotFoundError, RevisionNotFoundError

    return isinstance(error, (EntryNotFoundError, RevisionNotFoundError))


# -- what is written to the cache ---------------------------------------------------------------


def _folder(repository: Repository) -> Path:
    return Path(repository.cache, f"{repository.kind}s--{repository.name.replace('/', '--')}")


def _cached(repository: Repository, filename: str, revision: str) -> Any:
    """The path of a file in the cache, a mark if it is known not to exist, or None."""
    from huggingface_hub import try_to_load_from_cache

    return try_to_load_from_cache(
        repository.name,
        filename,
        cache_dir=repository.cache,
        revision=revision,
        repo_type=repository.kind,
    )


def _stored(
    repository: Repository, filename: str, revision: str, file: RemoteFile, beat: Beat
) -> Path:
    """The file in the cache, downloaded if it has to be; the branch now stands for its commit."""
    if _COMMIT.fullmatch(revision) and file.commit != revision:
        raise HubError(
            f"The hub was asked for {filename!r} of {repository.name!r} at the commit {revision}, "
            f"and answered with that of {file.commit}; refused. Check HF_ENDPOINT."
        )
    folder = _folder(repository)
    path = folder / "snapshots" / file.commit / filename
    if not path.exists():
        blob = folder / "blobs" / file.etag
        if not blob.exists():
            with replacing(blob, force=True) as part:
                _receive(repository, filename, file, part, beat)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():  # its blob had been deleted
            path.unlink()
        try:
            path.symlink_to(os.path.relpath(blob, path.parent))
        except FileExistsError:  # another process was faster
            return path
        except OSError:  # Windows without the right to make links
            os.replace(blob, path)
    branch = folder / "refs" / revision
    if revision != file.commit and not (branch.is_file() and branch.read_text() == file.commit):
        with replacing(branch, force=True) as part:
            part.write_text(file.commit)
    return path


def _receive(
    repository: Repository, filename: str, file: RemoteFile, part: Path, beat: Beat
) -> None:
    """Download a file, resumed where the connection was lost."""
    from huggingface_hub.utils import tqdm

    free = shutil.disk_usage(part.parent).free
    if file.size > free:
        raise HubError(
            f"{filename!r} of {repository} has {file.size:,} bytes, and the cache "
            f"{repository.cache!r} has room for {free:,}. Free some, or name another by cache_dir=."
        )
    name = escaped(filename)
    with (
        open(part, "wb") as out,
        # disable=None: silent unless stderr is a terminal
        tqdm(total=file.size, unit="B", unit_scale=True, desc=name, disable=None) as bar,
    ):
        in_vain = 0

        def came(count: int) -> None:
            beat(count)
            bar.update(count)

        while out.tell() < file.size:
            begin = out.tell()
            try:
                _append(repository, file, out, came)
                failure: Exception = ConnectionError("the connection was closed")
            except HubError:
                raise
            except _connection_errors() as error:
                if is_local(error):  # such as a full disk
                    raise
                failure = error
            in_vain = in_vain + 1 if out.tell() <= begin else 0
            if in_vain == _ATTEMPTS:
                raise failure
            if out.tell() < file.size:
                time.sleep(1)


def _append(repository: Repository, file: RemoteFile, out: BinaryIO, beat: Beat) -> None:
    """Write what one request for the rest of a file brings."""
    part = {"Range": f"bytes={out.tell()}-"} if out.tell() else {}
    with _followed(file.url, repository, part) as (response, blocks):
        _begin(response, out)
        for block in blocks:
            if out.tell() + len(block) > file.size:
                raise HubError(
                    f"{file.url!r:.200} sends more than the {file.size:,} bytes that were "
                    "announced; the download is refused."
                )
            out.write(block)
            beat(len(block))


def _begin(response: Any, out: BinaryIO) -> None:
    """Go to where an answer begins: at what is missing, or at the start of the file."""
    if response.status_code == 200:
        out.seek(0)
        out.truncate()
    elif response.status_code != 206 or not response.headers.get("Content-Range", "").startswith(
        f"bytes {out.tell()}-"
    ):
        raise _unexpected(response)
