"""Servers that lie, go in circles, say nothing or never stop: a HubError, soon, and nothing else.

A stranger's server on the loopback address answers HEAD and GET as a test wants it.
"""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants, try_to_load_from_cache

from tfzoo.hub import HubError, HubFileNotFoundError, HubOptions, Repository, download, resolve
from tfzoo.hub.conversion import converted_revision

assert try_to_load_from_cache  # which would otherwise be loaded while a test looks at the clock

COMMIT, ETAG, BODY = "a" * 40, "0123abc", b'{"model_type": "timesformer"}'
SOUND = {"X-Repo-Commit": COMMIT, "ETag": f'"{ETAG}"', "Content-Length": str(len(BODY))}

Answer = tuple[int, dict[str, str], Iterable[bytes]]


@dataclass
class Stranger:
    """A server, and what it has been asked: method, path, host and headers."""

    answer: Callable[[str, str], Answer] = lambda method, path: (200, SOUND, [BODY])
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    port: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def drips(self, content: bytes = b"x", seconds: float = 0.05) -> Iterator[bytes]:
        """Some bytes now and then, until the test ends."""
        while not self.is_over.wait(seconds):
            yield content


class Handler(BaseHTTPRequestHandler):
    stranger: Stranger

    def do_GET(self) -> None:
        self.close_connection = True
        if self.path.startswith("/api/agent"):  # what newer clients ask for themselves, once
            self.wfile.write(b"HTTP/1.1 404 Answer\r\nContent-Length: 0\r\n\r\n")
            return
        self.stranger.asked.append((self.command, self.path, dict(self.headers)))
        status, headers, body = self.stranger.answer(self.command, self.path)
        self.wfile.write(f"HTTP/1.1 {status} Answer\r\n".encode())
        for name, value in headers.items():
            self.wfile.write(f"{name}: {value}\r\n".encode("latin-1"))
        self.wfile.write(b"Connection: close\r\n\r\n")
        if self.command == "GET":
            try:
                for block in body:
                    self.wfile.write(block)
                    self.wfile.flush()
            except OSError:  # the other side has had enough
                return

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the tests' output is for failures."""


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stranger]:
    made = Stranger()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (Handler,), {"stranger": made}))
    server.daemon_threads = True
    made.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for variable in ("TFZOO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{made.port}")
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    yield made
    made.is_over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is given up soon."""
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setattr(constants, name, 0.5)
    monkeypatch.setattr(download, "PATIENCE", 1.0)


def ask(tmp_path: Path, name: str = "config.json", **options: str) -> Path:
    return resolve("org/name", name, HubOptions(cache_dir=tmp_path / "cache", **options)) / name


def refused(tmp_path: Path, match: str, seconds: float = 20.0) -> HubError:
    """The error, which comes in time, and after which nothing is left, least of all elsewhere."""
    begin = time.perf_counter()
    with pytest.raises(HubError, match=match) as caught:
        ask(tmp_path)
    assert time.perf_counter() - begin < seconds
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}
    left = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    # A thread that still waits has its part of the file until it ends.
    assert [path for path in left if path.parent.suffix != ".tfzoo-unfinished"] == []
    return caught.value


def test_a_sound_answer_is_stored_as_the_hubs_client_does(
    stranger: Stranger, tmp_path: Path
) -> None:
    path = ask(tmp_path)
    folder = tmp_path / "cache" / "models--org--name"
    assert path == folder / "snapshots" / COMMIT / "config.json"
    assert path.read_bytes() == (folder / "blobs" / ETAG).read_bytes() == BODY
    assert (folder / "refs" / "main").read_text() == COMMIT
    assert [method for method, *_ in stranger.asked] == ["HEAD", "GET"]
    assert ask(tmp_path) == path
    assert ask(tmp_path, revision=COMMIT) == path
    assert [method for method, *_ in stranger.asked] == ["HEAD", "GET", "HEAD"]


# TMP stands for the test's folder: were a value believed, nothing else would be harmed.
ODD = {
    "ETag": ["", '"TMP/x"', '"../../x"', '".."', '"a/b"', '"a\\b"', '"C:x"', '"x.lock"', "x" * 200],
    "X-Linked-Etag": ['"TMP/x"', '"../x"'],
    "X-Repo-Commit": ["", "main", "..", "TMP", "../../x", "A" * 40, "a" * 41],
    "Content-Length": ["-1", "1e3", "9" * 30],
    "X-Linked-Size": ["-1", "\xb2"],
}


@pytest.mark.parametrize(
    ("header", "value"), [(header, value) for header, values in ODD.items() for value in values]
)
def test_odd_headers_become_no_paths(
    header: str, value: str, stranger: Stranger, tmp_path: Path
) -> None:
    value = value.replace("TMP", str(tmp_path))
    stranger.answer = lambda method, path: (200, SOUND | {header: value}, [BODY])
    refused(tmp_path, "does not answer as a model hub does|cannot be reached")


@pytest.mark.parametrize("missing", SOUND)
def test_missing_headers_are_named(missing: str, stranger: Stranger, tmp_path: Path) -> None:
    rest = {name: value for name, value in SOUND.items() if name != missing}
    stranger.answer = lambda method, path: (200, rest, [BODY])
    refused(tmp_path, f"expected {missing} of the form .*, got ''")


@pytest.mark.parametrize("commit", ["../../outside", "TMP/outside", "x" * 40])
def test_a_missing_file_is_remembered_for_commits_alone(
    commit: str, stranger: Stranger, tmp_path: Path
) -> None:
    commit = commit.replace("TMP", str(tmp_path))
    headers = {"X-Repo-Commit": commit, "X-Error-Code": "EntryNotFound", "Content-Length": "0"}
    stranger.answer = lambda method, path: (404, headers, [])
    assert isinstance(refused(tmp_path, "has no file 'config.json'"), HubFileNotFoundError)
    assert list(tmp_path.iterdir()) == []


def test_another_commit_than_the_one_asked_for(stranger: Stranger, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=f"answered with that of {COMMIT}"):
        ask(tmp_path, revision="b" * 40)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("revision", ["../x", "/x", "x/", "a..b", "a\\b", "a:b", "a b", "\x1b"])
def test_revisions_that_git_does_not_know(revision: str, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="is not a revision"):
        ask(tmp_path, revision=revision)


# -- redirects ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["/next", "http://127.0.0.1:{port}/next", "?again"])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_circles_end(method: str, place: str, stranger: Stranger, tmp_path: Path) -> None:
    place = place.format(port=stranger.port)
    stranger.answer = lambda asked, path: (
        (302, {"Location": place, "Content-Length": "0"}, [])
        if asked == method
        else (200, SOUND, [BODY])
    )
    refused(tmp_path, "More than 5 redirects in a row")
    assert len(stranger.asked) <= 8


PLACES = ["file:///etc/passwd", "ftp://localhost/x", "data:,x", "http://[x"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_redirects_lead_to_servers_alone(
    method: str, place: str, stranger: Stranger, tmp_path: Path
) -> None:
    stranger.answer = lambda asked, path: (
        (302, SOUND | {"Location": place}, []) if asked == method else (200, SOUND, [BODY])
    )
    # What cannot be an address is refused by the HTTP library.
    refused(tmp_path, "redirects to .*, which is refused: expected an address|cannot be reached")


def test_no_redirect_from_https_to_http() -> None:
    @dataclass
    class Response:
        headers: dict[str, str]
        status_code: int = 307

    with pytest.raises(HubError, match="expected an address of https"):
        download._target(Response({"Location": "http://host/x"}), "https://host/y")
    assert download._target(Response({"Location": "/x"}), "https://host/y") == "https://host/x"


def test_the_token_is_for_the_hub_alone(stranger: Stranger, tmp_path: Path) -> None:
    elsewhere = f"http://localhost:{stranger.port}/elsewhere"
    headers = SOUND | {"Location": elsewhere, "X-Linked-Size": str(len(BODY))}
    stranger.answer = lambda method, path: (
        (200, SOUND, [BODY]) if path == "/elsewhere" else (302, headers, [])
    )
    assert ask(tmp_path, token="hf_secret").read_bytes() == BODY
    (first, _, to_hub), (second, path, to_others) = stranger.asked
    assert (first, second, path) == ("HEAD", "GET", "/elsewhere")
    assert to_hub.get("authorization") == "Bearer hf_secret"
    assert not {name.lower() for name in to_others} & {"authorization", "cookie"}


# -- bodies -------------------------------------------------------------------------------------


def silent(stranger: Stranger) -> Iterator[bytes]:
    stranger.is_over.wait()
    yield b""


BODIES = {
    "endless": (lambda: iter(lambda: b"x" * 1000, None), {}, "sends more than the 29"),
    "a byte too long": (lambda: [BODY + b"!"], {}, "sends more than the 29"),
    "short": (lambda: [BODY[:-1]], SOUND, "cannot be reached"),
    "short, of no length": (lambda: [b""], {}, "cannot be reached"),
}


@pytest.mark.parametrize("case", BODIES)
def test_bodies_have_the_announced_size(case: str, stranger: Stranger, tmp_path: Path) -> None:
    body, headers, message = BODIES[case]
    stranger.answer = lambda method, path: (
        (200, SOUND, []) if method == "HEAD" else (200, headers, body())
    )
    refused(tmp_path, message)


@pytest.mark.usefixtures("in_haste")
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_silence_ends(method: str, stranger: Stranger, tmp_path: Path) -> None:
    stranger.answer = lambda asked, path: (
        (200, SOUND, []) if asked != method else stranger.is_over.wait() and (500, {}, [])
    )
    refused(tmp_path, "cannot be reached|was given up")


@pytest.mark.usefixtures("in_haste")
def test_a_byte_now_and_then_is_not_enough(stranger: Stranger, tmp_path: Path) -> None:
    headers = SOUND | {"Content-Length": str(10**6)}
    stranger.answer = lambda method, path: (200, headers, stranger.drips())
    refused(tmp_path, "was given up: less than 600,000 bytes and no answer came in 1 seconds")


@pytest.mark.usefixtures("in_haste")
def test_headers_that_never_end(stranger: Stranger, tmp_path: Path) -> None:
    class Slow(dict):
        def items(self) -> Iterator[tuple[str, str]]:  # type: ignore[override]
            for number, _ in enumerate(stranger.drips()):
                yield f"X-{number}", "x"

    stranger.answer = lambda method, path: (200, Slow(), [])
    refused(tmp_path, "was given up: less than")


def test_an_error_of_endless_text(stranger: Stranger, tmp_path: Path) -> None:
    stranger.answer = lambda method, path: (
        (200, SOUND, []) if method == "HEAD" else (500, {}, iter(lambda: b"x" * 1000, None))
    )
    refused(tmp_path, "HTTP status 500")


def test_more_than_the_disk_has(stranger: Stranger, tmp_path: Path) -> None:
    stranger.answer = lambda method, path: (200, SOUND | {"Content-Length": "9" * 15}, [])
    refused(tmp_path, "has 999,999,999,999,999 bytes, and the cache .* has room for")


def test_a_redirect_of_endless_text(stranger: Stranger, tmp_path: Path) -> None:
    """requests reads the body of every redirect, unless it is closed before."""
    stranger.answer = lambda method, path: (
        (200, SOUND, [])
        if method == "HEAD"
        else (302, {"Location": "/next"}, iter(lambda: b"x" * 1000, None))
    )
    refused(tmp_path, "More than 5 redirects")


def test_a_packed_body_does_not_burst(stranger: Stranger, tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(10**7))
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(bomb))}
    stranger.answer = lambda method, path: (
        (200, SOUND, []) if method == "HEAD" else (200, headers, [bomb])
    )
    refused(tmp_path, "sends more than the 29|cannot be reached")


def test_too_many_files_are_not_fetched(stranger: Stranger, tmp_path: Path) -> None:
    names = [f"{number}.safetensors" for number in range(1001)]
    with pytest.raises(HubError, match="names 1,001 files, and at most 1,000"):
        resolve("org/name", names, HubOptions(cache_dir=tmp_path))
    assert stranger.asked == []


def test_what_is_cached_outlives_a_server_that_went_mad(stranger: Stranger, tmp_path: Path) -> None:
    path = ask(tmp_path)
    stranger.answer = lambda method, path: (200, {"X-Repo-Commit": "../x"}, [])
    assert ask(tmp_path) == path


# -- pages of pull requests ---------------------------------------------------------------------

PAGES = {
    "endless": lambda stranger: iter(lambda: b"[" * 10000, None),
    "no JSON": lambda stranger: [b"<html>"],
    "deep": lambda stranger: [b"[" * 100_000],
    "a list": lambda stranger: [b"[]"],
    "no rows": lambda stranger: [b'{"count": 5}'],
    "rows of numbers": lambda stranger: [b'{"count": 5, "discussions": [1, 2]}'],
    "a number of text": lambda stranger: [
        b'{"count": 1, "discussions": [{"num": "../x", "status": "open", '
        b'"author": {"name": "SFconvertbot"}}]}'
    ],
}


@pytest.mark.parametrize("case", PAGES)
def test_odd_pages_are_refused(case: str, stranger: Stranger, tmp_path: Path) -> None:
    stranger.answer = lambda method, path: (
        (200, {}, PAGES[case](stranger)) if "discussions" in path else (200, SOUND, [BODY])
    )
    with pytest.raises(HubError, match="as a model hub does|instead of a page"):
        converted_revision("org/name", ["pytorch_model.bin"], HubOptions(cache_dir=tmp_path))


def test_the_pages_of_a_renamed_repository(stranger: Stranger, tmp_path: Path) -> None:
    row = b'{"num": 1, "status": "open", "author": {"name": "SFconvertbot"}}'
    page, old = b'{"count": 1, "discussions": [' + row + b"]}", "/api/models/org/name/"

    def answer(method: str, path: str) -> Answer:
        if path.startswith(old):
            return 307, {"Location": path.replace("/name/", "/new/")}, []
        return (200, {}, [page]) if "discussions" in path else (200, SOUND, [BODY])

    stranger.answer = answer
    options = HubOptions(cache_dir=tmp_path)
    assert converted_revision("org/name", ["pytorch_model.bin"], options) == COMMIT


def test_a_proposal_without_the_pickle_is_passed_over(stranger: Stranger, tmp_path: Path) -> None:
    row = '{"num": %d, "status": "open", "author": {"name": "SFconvertbot"}}'
    page = f'{{"count": 2, "discussions": [{row % 1}, {row % 2}]}}'.encode()

    def answer(method: str, path: str) -> Answer:
        if "refs%2Fpr%2F1/" in path:
            return 404, {"X-Error-Code": "EntryNotFound"}, []
        found = SOUND | ({"X-Repo-Commit": "b" * 40} if "refs%2Fpr%2F2/" in path else {})
        return (200, {}, [page]) if "discussions" in path else (200, found, [BODY])

    stranger.answer = answer
    options = HubOptions(cache_dir=tmp_path)
    assert converted_revision("org/name", ["pytorch_model.bin"], options) == "b" * 40


def test_pages_without_end_are_left(stranger: Stranger, tmp_path: Path) -> None:
    row = b'{"num": 1, "status": "closed", "author": {"name": "SFconvertbot"}}'
    page = b'{"count": 1000000, "discussions": [' + row + b"]}"
    stranger.answer = lambda method, path: (
        (200, {}, [page]) if "discussions" in path else (200, SOUND, [BODY])
    )
    options = HubOptions(cache_dir=tmp_path)
    assert converted_revision("org/name", ["pytorch_model.bin"], options) is None
    assert len([path for _, path, _ in stranger.asked if "discussions" in path]) == 10


def test_a_dataset_has_its_own_place(stranger: Stranger, tmp_path: Path) -> None:
    folder = resolve("org/name", "a b.txt", HubOptions("v/1", tmp_path), kind="dataset")
    assert folder.parts[-3:] == ("datasets--org--name", "snapshots", COMMIT)
    assert stranger.asked[0][1] == "/datasets/org/name/resolve/v%2F1/a%20b.txt"
    assert Repository("org/name", HubOptions("v/1"), "dataset").offline is None
