"""tfzoo.hub: folders, a cache made by hand, and a hub of one repository on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tfzoo.assets import default_checkpoint
from tfzoo.hub import HubError, HubFileNotFoundError, HubOptions, Repository, resolve

REPOSITORY = "org/tiny-model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"config.json": b'{"a": 1}', "model.safetensors": b"weights", "sub/vocab.txt": b"x\ny\n"}


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TFZOO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The hub's cache as its client leaves it behind, but for `sub/vocab.txt`."""
    root = tmp_path / "cache"
    repository = root / "models--org--tiny-model"
    snapshot = repository / "snapshots" / COMMIT
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (repository / "blobs" / name).write_bytes(FILES[name])
        (snapshot / name).symlink_to(Path("../../blobs") / name)
    (repository / "refs" / "main").write_text(COMMIT)
    return root


# Local folders


def test_folder_with_all_files_is_itself(checkpoint: Path) -> None:
    assert resolve(checkpoint, "config.json") == checkpoint
    assert resolve(str(checkpoint), ["config.json", "sub/vocab.txt"]) == checkpoint
    assert resolve(checkpoint, "config.json", optional=["absent.txt"]) == checkpoint


def test_short_names(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = default_checkpoint("owlv2-shapes")
    assert resolve("owlv2-shapes", ["config.json", "model.safetensors"]) == shipped
    with pytest.raises(HubFileNotFoundError, match="no file or folder 'owlv2-shapes'"):
        resolve(Path("owlv2-shapes"), "config.json")
    with pytest.raises(HubError, match=r"short name of `tfzoo list`. Did you mean 'owlv2-shapes'"):
        resolve("OWLv2-shape", "config.json")
    with pytest.raises(HubError, match=r"short name of `tfzoo list`.$"):
        resolve("entirely-else", "config.json")
    monkeypatch.chdir(checkpoint.parent)
    checkpoint.rename("owlv2-shapes")
    assert resolve("owlv2-shapes", "config.json") == Path("owlv2-shapes"), "a folder wins"


def test_file_stands_for_its_folder(checkpoint: Path) -> None:
    assert resolve(checkpoint / "model.safetensors", "config.json") == checkpoint


def test_home_and_relative_paths(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    assert resolve("~/checkpoint", "config.json") == checkpoint
    monkeypatch.chdir(checkpoint)
    assert resolve(".", "config.json").resolve() == checkpoint.resolve()


def test_subfolders_hold_checkpoints(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = HubOptions(subfolder="sub")
    assert resolve(checkpoint, "vocab.txt", inside) == checkpoint / "sub"
    assert resolve(str(checkpoint), "vocab.txt", HubOptions(subfolder="sub/")) == checkpoint / "sub"
    assert resolve(checkpoint, "config.json", HubOptions(subfolder=None)) == checkpoint
    with pytest.raises(HubFileNotFoundError, match="sub' lacks config.json; it has: vocab.txt"):
        resolve(checkpoint, "config.json", inside)
    with pytest.raises(HubFileNotFoundError, match="There is no file or folder .*none'"):
        resolve(checkpoint, "config.json", HubOptions(subfolder="none"))
    with pytest.raises(HubError, match="config.json' is a file: subfolder= needs a folder"):
        resolve(checkpoint / "config.json", "config.json", inside)
    for wrong in ("..", "/", "a/../..", "a\\b"):
        with pytest.raises(HubError, match="is not the name of a file inside a checkpoint"):
            resolve(checkpoint, "config.json", HubOptions(subfolder=wrong))
    snapshot = cache / "models--org--tiny-model" / "snapshots" / COMMIT
    (snapshot / "sub").mkdir()
    (snapshot / "sub" / "vocab.txt").write_bytes(b"x")
    cached = HubOptions(cache_dir=cache, local_files_only=True, subfolder="sub")
    assert resolve(REPOSITORY, "vocab.txt", cached, optional=["absent"]) == snapshot / "sub"


def test_local_folder_wins_over_a_repository(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    checkpoint.rename("org")
    Path("org/tiny-model").mkdir()
    Path("org/tiny-model/config.json").write_text("{}")
    assert resolve(REPOSITORY, "config.json") == Path(REPOSITORY)


def test_folder_lacking_files_lists_both_sides(checkpoint: Path) -> None:
    with pytest.raises(HubFileNotFoundError) as raised:
        resolve(checkpoint, ["config.json", "a.bin", "b.bin"])
    message = str(raised.value)
    assert f"{str(checkpoint)!r} lacks a.bin, b.bin; it has: config.json, model.safe" in message
    assert "save_pretrained" in message


def test_empty_folder_has_nothing(tmp_path: Path) -> None:
    with pytest.raises(HubFileNotFoundError, match="it has: nothing"):
        resolve(tmp_path, "config.json")


@pytest.mark.parametrize(
    "path", ["./absent", "../absent", "~/absent", "/absent", "a/b/c", ".", "a/model.safetensors"]
)
def test_absent_path_never_asks_the_hub(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # an import would fail
    with pytest.raises(FileNotFoundError, match="There is no file or folder|lacks config.json"):
        resolve(path, "config.json")


def test_absent_path_object_is_not_a_repository() -> None:
    with pytest.raises(HubFileNotFoundError, match="There is no file or folder 'org/absent'"):
        resolve(Path("org/absent"), "config.json")


@pytest.mark.parametrize(
    "name",
    ["", "justaname", "org/", "org/na me", "org/-name", "org/name.", "org/a--b", "org/a..b"]
    + ["org/name.git", "org/na\u00efve", "org/" + "n" * 96, "https:x/y"],
)
def test_bad_repository_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(HubError, match=r"expected 'org/name'|lacks config\.json"):
        resolve(name, "config.json")


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "a/../../b", "", "a\\b", "C:/a", "./a", "a//b", "a/", "a\x1bb"],
)
def test_file_names_stay_in_the_folder(name: str, checkpoint: Path) -> None:
    with pytest.raises(HubError, match="not the name of a file inside"):
        resolve(checkpoint, name)
    with pytest.raises(HubError, match="not the name of a file inside"):
        resolve(REPOSITORY, "config.json", HubOptions(local_files_only=True), optional=[name])


def test_no_file_names_at_all(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="filenames is empty"):
        resolve(checkpoint, [])


# Offline


@pytest.mark.parametrize("value", ["1", "true", "YES", "On"])
@pytest.mark.parametrize("variable", ["TFZOO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_variables_forbid_the_network(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(REPOSITORY, HubOptions())
    assert repository.offline is None
    monkeypatch.setenv(variable, value)
    assert repository.offline == f"{variable}={value}"
    monkeypatch.setenv(variable, "0")
    assert repository.offline is None


def test_cached_files_need_no_network(cache: Path) -> None:
    expected = cache / "models--org--tiny-model" / "snapshots" / COMMIT
    for revision in (None, "main", COMMIT):
        folder = resolve(
            REPOSITORY,
            ["config.json", "model.safetensors"],
            HubOptions(revision, cache, local_files_only=True),
            optional=["sub/vocab.txt"],
        )
        assert folder == expected
    assert (folder / "config.json").read_bytes() == FILES["config.json"]


@pytest.mark.parametrize("reason", ["local_files_only=True", "TFZOO_OFFLINE=1", "HF_HUB_OFFLINE=1"])
def test_offline_and_not_cached(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argument = reason.startswith("local")
    if not argument:
        monkeypatch.setenv(*reason.split("="))
    with pytest.raises(HubFileNotFoundError) as raised:
        resolve(REPOSITORY, "config.json", HubOptions(None, tmp_path, argument))
    message = str(raised.value)
    for part in ("'config.json'", f"'{REPOSITORY}'", repr(str(tmp_path)), reason, "HF_HUB_CACHE"):
        assert part in message


def test_offline_with_another_revision_or_file(cache: Path) -> None:
    with pytest.raises(HubFileNotFoundError, match="at revision 'v2' is not in the cache"):
        resolve(REPOSITORY, "config.json", HubOptions("v2", cache, local_files_only=True))
    options = HubOptions(cache_dir=cache, local_files_only=True)
    with pytest.raises(HubFileNotFoundError, match=r"'sub/vocab\.txt' of .* is not in the cache"):
        resolve(REPOSITORY, ["config.json", "sub/vocab.txt"], options)


def test_all_files_come_from_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though somebody pushes to the branch after each question."""
    from tfzoo.hub import download

    pushed = (str(number) * 40 for number in range(9))

    def look_up(
        repository: Repository, filename: str, revision: str, beat: object
    ) -> download.RemoteFile:
        commit = next(pushed) if revision == "main" else revision
        return download.RemoteFile(commit, f"{commit}-{len(filename)}", 0, "http://nowhere")

    monkeypatch.setattr(download, "look_up", look_up)
    files, options = ["config.json", "sub/vocab.txt"], HubOptions(cache_dir=tmp_path)
    folder = resolve(REPOSITORY, files, options, optional=["model.safetensors"])
    assert folder == tmp_path / "models--org--tiny-model" / "snapshots" / ("0" * 40)
    assert all((folder / name).exists() for name in FILES)


def test_import_is_light() -> None:
    code = "import sys, tfzoo.hub; print([m for m in ('huggingface_hub', 'keras', 'numpy', "
    code += "'tqdm') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


# A hub on this machine. Its client reads HF_ENDPOINT when imported, hence the processes.


class Hub(BaseHTTPRequestHandler):
    """Serves FILES as one repository, in the protocol that the hub's client speaks."""

    requests: list[str] = []

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        type(self).requests.append(f"{self.command} {self.path}")
        status, code, content = self._look_up()
        self.send_response(status)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.send_header(*(("X-Error-Code", code) if code else ("ETag", f'"{len(content)}e"')))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _look_up(self) -> tuple[int, str, bytes]:
        repository, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, filename = rest.partition("/")
        if repository == "org/broken":
            return 500, "", b""
        if repository == "org/gated":
            return 403, "GatedRepo", b""
        if repository == "org/private":
            return 401, "RepoNotFound", b""
        if repository != REPOSITORY:
            return 404, "RepoNotFound", b""
        if revision not in ("main", COMMIT):
            return 404, "RevisionNotFound", b""
        if filename not in FILES:
            return 404, "EntryNotFound", b""
        return 200, "", FILES[filename]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the tests' output is for failures."""


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.requests = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(timeout=10)
    server.server_close()


SCRIPT = """
    import json, sys, time
    time.sleep = lambda seconds: None  # the client waits between attempts
    from tfzoo.hub import HubOptions, resolve
    answers = []
    for arguments in json.loads(sys.argv[1]):
        options, others = HubOptions.split(arguments)
        try:
            answers.append(str(resolve(options=options, **others)))
        except OSError as error:
            answers.append(f"{type(error).__name__}: {error} [{type(error.__cause__).__name__}]")
    print(json.dumps(answers))
"""


def ask(endpoint: str, cache: Path, *calls: dict[str, object]) -> list[str]:
    """The answers of `resolve` in a process of its own, whose hub is `endpoint`."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    environment |= {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    arguments = [{"filenames": "config.json"} | call for call in calls]
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), json.dumps(arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert "%|" not in result.stderr, "a progress bar, though nobody watches"
    return json.loads(result.stdout)


def test_download_then_cache(hub: str, tmp_path: Path) -> None:
    call = {
        "name_or_path": REPOSITORY,
        "filenames": ["config.json", "sub/vocab.txt"],
        "optional": ["model.safetensors", "absent.txt"],
    }
    first, second, offline = ask(hub, tmp_path, call, call, call | {"local_files_only": True})
    folder = Path(first)
    assert first == second == offline
    assert folder.name == COMMIT
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert not (folder / "absent.txt").exists()
    heads = [request for request in Hub.requests if request.startswith("HEAD")]
    assert (
        heads.count(f"HEAD /{REPOSITORY}/resolve/main/config.json") == 2
    )  # is it still the newest?
    assert (
        len([r for r in Hub.requests if r.endswith("absent.txt")]) == 1
    )  # known absent after that
    assert len([r for r in Hub.requests if r.startswith("GET /org/tiny-model/resolve")]) == 3


def test_what_the_hub_refuses(hub: str, tmp_path: Path) -> None:
    answers = ask(
        hub,
        tmp_path,
        {"name_or_path": "org/unknown"},
        {"name_or_path": "org/private"},
        {"name_or_path": "org/gated"},
        {"name_or_path": REPOSITORY, "revision": "v9"},
        {"name_or_path": REPOSITORY, "filenames": ["config.json", "tf_model.h5"]},
    )
    unknown, private, gated, revision, absent = answers
    assert unknown.startswith("HubFileNotFoundError: The hub has no repository 'org/unknown'")
    assert unknown.endswith("[RepositoryNotFoundError]")
    assert private.startswith("HubFileNotFoundError: The hub has no repository 'org/private'")
    assert "HF_TOKEN" in private
    assert gated.startswith("HubError: Access to 'org/gated' is gated")
    assert gated.endswith("[GatedRepoError]")
    assert "'org/tiny-model' has no revision 'v9'" in revision
    assert revision.endswith("[RevisionNotFoundError]")
    assert "'org/tiny-model' has no file 'tf_model.h5'" in absent
    assert absent.startswith("HubFileNotFoundError")


def test_unreachable_hub(hub: str, tmp_path: Path) -> None:
    refused = "http://127.0.0.1:9"  # the discard port: nothing listens
    (answer,) = ask(refused, tmp_path, {"name_or_path": REPOSITORY})
    assert answer.startswith("HubError: 'config.json' of 'org/tiny-model' is not in the cache")
    assert f"the hub {refused} cannot be reached (Connect" in answer
    ask(hub, tmp_path, {"name_or_path": REPOSITORY})
    (cached,) = ask(refused, tmp_path, {"name_or_path": REPOSITORY})
    assert Path(cached).name == COMMIT, "a cached checkpoint outlives the connection"


def test_failing_hub(hub: str, tmp_path: Path) -> None:
    (answer,) = ask(hub, tmp_path, {"name_or_path": "org/broken"})
    assert answer.startswith("HubError: 'config.json' of 'org/broken' is not in the cache")
    assert f"{hub} cannot be reached (HTTP status 500)" in answer


def test_optional_file_is_not_skipped_when_the_hub_fails(hub: str, tmp_path: Path) -> None:
    ask(hub, tmp_path, {"name_or_path": REPOSITORY})
    call = {"name_or_path": REPOSITORY, "optional": ["model.safetensors"]}
    (answer,) = ask("http://127.0.0.1:9", tmp_path, call)
    assert answer.startswith(
        "HubError: 'model.safetensors' of 'org/tiny-model' is not in the cache"
    )
