"""A model hub of one's own on the loopback address, in the protocol of the hub's client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = 5000  # bytes from which on a file is kept elsewhere, behind a redirect


@dataclass
class Repo:
    """A repository.

    Attributes:
        revisions: Files of each revision.
        token: Without it the repository is hidden.
        status: Answer to every request, where it is not 200.
        proposals: Pull requests: number, author and status.
        talks: Answer to the question for pull requests, where it is not 200.
        breaks: How many downloads from elsewhere break off half-way.
    """

    revisions: dict[str, dict[str, bytes]]
    token: str | None = None
    status: int = 200
    proposals: list[tuple[int, str, str]] = field(default_factory=list)
    talks: int = 200
    breaks: int = 0

    def commit(self, revision: str) -> str | None:
        """The commit of a revision; a commit is one, too."""
        for name in self.revisions:
            digest = hashlib.sha1(name.encode()).hexdigest()
            if revision in (name, digest):
                return digest
        return None

    def files(self, commit: str) -> dict[str, bytes]:
        """The files of a commit."""
        return next(f for name, f in self.revisions.items() if self.commit(name) == commit)


@dataclass
class Hub:
    """Repositories by name, and what has been asked for."""

    repos: dict[str, Repo]
    endpoint: str = ""
    storage: str = ""
    requests: list[str] = field(default_factory=list)
    drops: bool = False

    def asked(self, *parts: str) -> list[str]:
        """The requests in which all of these words stand."""
        return [line for line in self.requests if all(part in line for part in parts)]


@contextmanager
def serve(repos: dict[str, Repo]) -> Iterator[Hub]:
    """Serve repositories while the block runs, or until `GET /down`.

    From `GET /drop` on, calls are taken and not answered.

    Large files are on a host of another name, as the hub's are: its client follows redirects that
    stay on a host, and takes what it knows of a file from those that leave it.
    """
    hub = Hub(repos)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    hub.storage = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def etag_of(content: bytes) -> str:
    """What tells this content from any other."""
    return hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        span = self.headers.get("Range")
        self.hub.requests.append(f"{self.command} {self.path}" + (f" {span}" if span else ""))
        if self.hub.drops and self.path != "/down":
            self.close_connection = True
            return
        status, headers, content = self._look_up(unquote(urlsplit(self.path).path).lstrip("/"))
        breaks = headers.pop("breaks", False)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if breaks else content)
            self.close_connection = breaks

    def _look_up(self, path: str) -> tuple[int, dict[str, Any], bytes]:
        if path == "drop":
            self.hub.drops = True
            return 200, {}, b""
        if path == "down":
            self.server.socket.close()  # no call after this one
            threading.Thread(target=self.server.shutdown).start()
            return 200, {}, b""
        if path.startswith("elsewhere/"):
            return self._elsewhere(path.removeprefix("elsewhere/"))
        name, _, rest = path.removeprefix("api/models/").partition(
            "/discussions" if path.startswith("api/") else "/resolve/"
        )
        repo = self.hub.repos.get(name)
        if repo is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if repo.token and self.headers.get("Authorization") != f"Bearer {repo.token}":
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        if repo.status != 200:
            return repo.status, {}, b""
        return self._talks(name, repo) if path.startswith("api/") else self._file(name, repo, rest)

    def _file(self, name: str, repo: Repo, rest: str) -> tuple[int, dict[str, Any], bytes]:
        known = (*repo.revisions, *map(repo.commit, repo.revisions))
        revision = next((r for r in known if rest.startswith(f"{r}/")), None)
        if revision is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        commit = repo.commit(revision)
        headers = {"X-Repo-Commit": commit}
        content = repo.files(commit).get(rest.removeprefix(f"{revision}/"))
        if content is None:
            return 404, headers | {"X-Error-Code": "EntryNotFound"}, b""
        etag = etag_of(content)
        if len(content) < LARGE:
            return 200, headers | {"ETag": f'"{etag}"'}, content
        headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        return 302, headers | {"Location": f"{self.hub.storage}/elsewhere/{name}/{etag}"}, b""

    def _elsewhere(self, place: str) -> tuple[int, dict[str, Any], bytes]:
        name, _, etag = place.rpartition("/")
        repo = self.hub.repos[name]
        contents = (content for files in repo.revisions.values() for content in files.values())
        return self._part(repo, next(c for c in contents if etag_of(c) == etag), etag)

    def _part(self, repo: Repo, content: bytes, etag: str) -> tuple[int, dict[str, Any], bytes]:
        headers: dict[str, Any] = {"ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if self.command == "GET" and repo.breaks:
            repo.breaks -= 1
            headers["breaks"] = True
        span = self.headers.get("Range", "").removeprefix("bytes=")
        begin = int(span.partition("-")[0] or 0)
        if not begin:
            return 200, headers, content
        headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        return 206, headers, content[begin:]

    def _talks(self, name: str, repo: Repo) -> tuple[int, dict[str, Any], bytes]:
        """Pull requests, two on a page."""
        if repo.talks != 200:
            return repo.talks, {}, b""
        asked = parse_qs(urlsplit(self.path).query)
        author = asked.get("author", [None])[0]
        found = [p for p in repo.proposals if author in (None, p[1])]
        page = 2 * int(asked["p"][0])
        rows = [
            {
                "title": "Adding `safetensors` variant of this model",
                "num": number,
                "author": {"name": who},
                "createdAt": "2024-01-01T00:00:00.000Z",
                "status": status,
                "repo": {"name": name, "type": "model"},
                "isPullRequest": True,
            }
            for number, who, status in found[page : page + 2]
        ]
        answer = {"count": len(found), "start": page, "discussions": rows}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the tests' output is for failures."""
