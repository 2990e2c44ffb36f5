"""`from_pretrained("org/name")` end to end, against a hub on this machine.

All calls are made by one process, as a user's would, because starting TensorFlow takes long; what
it said and what the hub was asked for is what the tests look at.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfzoo
from tests.cli.helpers import TINY
from tests.support.hub_server import LARGE, Hub, Repo, serve
from tests.support.processes import run_python
from tests.weights_convert.torch_toys import archive, torch_file
from tests.weights_convert.toys import source
from weights_convert.checkpoint import INDEX_NAME, open_checkpoint, write_checkpoint

BOT = "SFconvertbot"
MARKED = "timesformer.layernorm.weight"
MAIN, TAG, CONVERTED, STRANGER, STALE, PICKLED = 1.0, 2.0, 3.0, 4.0, 5.0, 6.0

SCRIPT = """
import json, os, sys, time, urllib.request
time.sleep = lambda seconds: None  # the client waits between attempts
import tfzoo
import tfzoo.hub.download
tfzoo.hub.download._BLOCK = 1000  # what is read at once, else 65 kB
answers = {}
for step, (name, options) in json.loads(sys.argv[1]).items():
    os.environ.pop("TFZOO_OFFLINE", None)
    if name in ("drop", "down"):
        urllib.request.urlopen(os.environ["HF_ENDPOINT"] + "/" + name).close()
        continue
    os.environ.update(options.pop("environment", {}))
    try:
        model = tfzoo.TFAutoModelForVideoClassification.from_pretrained(name, **options)
        answers[step] = float(model.timesformer.layernorm.gamma[0])
    except (OSError, ValueError) as error:
        answers[step] = f"{type(error).__name__}: {error}"
print(json.dumps(answers))
"""

STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("org/plain", {}),
    "again": ("org/plain", {}),
    "tag": ("org/plain", {"revision": "v2"}),
    "subfolder": ("org/nested", {"subfolder": "runs/best"}),
    "subfolder, converted": ("org/nested", {"subfolder": "old/"}),
    "no subfolder": ("org/nested", {}),
    "no revision": ("org/plain", {"revision": "v9"}),
    "shards": ("org/shards", {}),
    "no token": ("org/private", {}),
    "wrong token": ("org/private", {"token": "hf_wrong"}),
    "token": ("org/private", {"token": "hf_right"}),
    "unknown": ("org/unknown", {}),
    "failing": ("org/failing", {}),
    "no weights": ("org/empty", {}),
    "broken 1": ("org/breaking", {}),
    "broken 2": ("org/breaking", {}),
    "converted": ("org/pickled", {}),
    "shards converted": ("org/pickled-shards", {}),
    "tag without conversion": ("org/pickled", {"revision": "old"}),
    "stale": ("org/stale", {}),
    "no talks": ("org/silent", {}),
    "failing talks": ("org/failing-talks", {}),
    "evil": ("org/evil", {}),
    "offline": ("org/plain", {"environment": {"TFZOO_OFFLINE": "1"}}),
    "offline argument": ("org/plain", {"local_files_only": True}),
    "offline, tag": ("org/plain", {"revision": "v2", "local_files_only": True}),
    "offline, uncached": ("org/other", {"local_files_only": True}),
    "offline, converted": ("org/pickled", {"local_files_only": True}),
    "offline, pickled": ("org/stale", {"local_files_only": True}),
    "drop": ("drop", {}),
    "dropped": ("org/plain", {}),
    "dropped, uncached": ("org/other", {}),
    "stop": ("down", {}),
    "down": ("org/plain", {}),
    "down, converted": ("org/pickled", {}),
    "down, pickled": ("org/stale", {}),
    "down, uncached": ("org/other", {}),
}


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch marker",)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("made")
    model = tfzoo.TFTimesformerForVideoClassification(tfzoo.TimesformerConfig(**TINY))
    model.save_pretrained(folder)
    with open_checkpoint(folder) as tensors:
        return {name: tensors.read(name) for name in tensors}


@pytest.fixture(scope="module")
def repos(
    arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Repo]:
    config = json.dumps(
        tfzoo.TimesformerConfig(
            **TINY, architectures=["TimesformerForVideoClassification"]
        ).to_json_dict()
    ).encode()

    def marked(value: float) -> dict[str, np.ndarray]:
        return arrays | {MARKED: np.full_like(arrays[MARKED], value)}

    def safe(value: float, shard: int = 10**9) -> dict[str, bytes]:
        folder = tmp_path_factory.mktemp("files")
        rows = [source(name, array) for name, array in marked(value).items()]
        write_checkpoint(folder, rows, max_shard_bytes=shard)
        return {"config.json": config} | {p.name: p.read_bytes() for p in folder.iterdir()}

    def pickled(value: float) -> dict[str, bytes]:
        return {"config.json": config, "pytorch_model.bin": torch_file(marked(value))}

    def shards(value: float) -> dict[str, bytes]:
        halves = [dict(list(marked(value).items())[i::2]) for i in (0, 1)]
        names = [f"pytorch_model-{i}.bin" for i in (1, 2)]
        places = {key: name for half, name in zip(halves, names, strict=True) for key in half}
        files = {name: torch_file(half) for half, name in zip(halves, names, strict=True)}
        index = {"pytorch_model.bin.index.json": json.dumps({"weight_map": places}).encode()}
        return {"config.json": config} | files | index

    def inside(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
        return {f"{folder}/{name}": content for name, content in files.items()}

    old = pickled(PICKLED)
    nested = inside("runs/best", safe(TAG)) | inside("old", old)
    evil = {"config.json": config, "pytorch_model.bin": archive(pickle.dumps(Evil(), 2), {})}
    proposals = {
        "refs/pr/1": old | safe(STRANGER),  # by a stranger
        "refs/pr/2": old | safe(STRANGER),  # withdrawn
        "refs/pr/3": pickled(STALE) | safe(STALE),  # of older weights
        "refs/pr/4": old | safe(CONVERTED),
    }
    authors = [(1, "stranger", "open"), (2, BOT, "closed"), (3, BOT, "open"), (4, BOT, "open")]
    return {
        "org/plain": Repo({"main": safe(MAIN), "v2": safe(TAG)}),
        "org/shards": Repo({"main": safe(MAIN, shard=20_000)}),
        "org/nested": Repo(
            {"main": nested, "refs/pr/2": nested | inside("old", safe(CONVERTED))},
            proposals=[(2, BOT, "open")],
        ),
        "org/private": Repo({"main": safe(MAIN)}, token="hf_right"),
        "org/failing": Repo({"main": safe(MAIN)}, status=500),
        "org/empty": Repo({"main": {"config.json": config}}),
        "org/breaking": Repo({"main": safe(7.0)}, breaks=1),
        "org/pickled": Repo({"main": old, "old": pickled(8.0)} | proposals, proposals=authors),
        "org/pickled-shards": Repo(
            {"main": shards(PICKLED), "refs/pr/9": shards(PICKLED) | safe(CONVERTED, 20_000)},
            proposals=[(9, BOT, "open")],
        ),
        "org/stale": Repo(
            {"main": pickled(9.0), "refs/pr/3": pickled(STALE) | safe(STALE)},
            proposals=[(3, BOT, "open")],
        ),
        "org/silent": Repo({"main": pickled(10.0)}, talks=403),
        "org/failing-talks": Repo({"main": pickled(11.0)}, talks=503),
        "org/evil": Repo({"main": evil}),
        "org/other": Repo({"main": safe(MAIN)}),
    }


@dataclasses.dataclass
class Session:
    """What a process was answered, what the hub was asked, and what is in the cache."""

    answers: dict[str, Any]
    hub: Hub
    cache: Path


@pytest.fixture(scope="module")
def session(repos: dict[str, Repo], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    cache = tmp_path_factory.mktemp("cache")
    kept = {name: "" for name in os.environ if name.startswith("HF_")}
    with serve(repos) as hub:
        said = run_python(
            SCRIPT,
            json.dumps(STEPS),
            **kept | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(cache)},
            HF_HUB_DISABLE_TELEMETRY="1",
            NO_PROXY="127.0.0.1",
            no_proxy="127.0.0.1",
        )
        yield Session(json.loads(said.splitlines()[-1]), hub, cache)


@pytest.mark.parametrize(
    ("step", "expected"),
    {
        "plain": MAIN,
        "again": MAIN,
        "tag": TAG,
        "subfolder": TAG,
        "subfolder, converted": CONVERTED,
        "shards": MAIN,
        "token": MAIN,
        "broken 2": 7.0,
        "converted": CONVERTED,
        "shards converted": CONVERTED,
        "tag without conversion": 8.0,
        "stale": 9.0,
        "no talks": 10.0,
        "offline": MAIN,
        "offline argument": MAIN,
        "offline, tag": TAG,
        "offline, converted": CONVERTED,
        "offline, pickled": 9.0,
        "dropped": MAIN,
        "down": MAIN,
        "down, converted": CONVERTED,
        "down, pickled": 9.0,
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_right_weights_are_loaded(step: str, expected: float, session: Session) -> None:
    assert session.answers[step] == expected


@pytest.mark.parametrize(
    ("step", "kind", "message"),
    [
        ("no revision", "HubFileNotFoundError", "has no revision 'v9'"),
        ("no subfolder", "HubFileNotFoundError", "has no file 'config.json'"),
        ("no token", "HubFileNotFoundError", "no repository 'org/private' that you may see"),
        ("wrong token", "HubFileNotFoundError", "HF_TOKEN"),
        ("unknown", "HubFileNotFoundError", "no repository 'org/unknown'"),
        ("failing", "HubError", "cannot be reached (HTTP status 500)"),
        ("no weights", "HubFileNotFoundError", "Neither is there model.safetensors.index.json"),
        ("failing talks", "HubError", "503"),
        ("evil", "CheckpointError", "system, which a checkpoint of tensors does not need"),
        ("offline, uncached", "HubFileNotFoundError", "local_files_only=True forbids"),
        ("dropped, uncached", "HubError", "heck the connection"),
        ("down, uncached", "HubError", "cannot be reached"),
    ],
)
def test_what_goes_wrong_is_said(step: str, kind: str, message: str, session: Session) -> None:
    answer = session.answers[step]
    assert isinstance(answer, str), f"{step}: loaded"
    assert answer.startswith(f"{kind}: ")
    assert message in answer


def test_downloads_follow_redirects_once(session: Session) -> None:
    """Each file comes once, from elsewhere; after that only its name is asked for."""
    assert len(session.hub.asked("HEAD /org/plain/resolve/main/model.safetensors")) >= 2
    for name in ("org/plain", "org/shards", "org/private"):
        files = session.hub.repos[name].revisions.values()
        count = sum(len(content) >= LARGE for revision in files for content in revision.values())
        plain = session.hub.asked(f"GET /elsewhere/{name}/")
        assert len(plain) == len(set(plain)) == count > 0, name


def test_downloads_that_broke_off_are_resumed(session: Session) -> None:
    """What has come does not come again, whether the client or the user tries once more."""
    size = len(session.hub.repos["org/breaking"].revisions["main"]["model.safetensors"])
    whole, rest = session.hub.asked("GET /elsewhere/org/breaking/")
    assert "bytes=" not in whole
    begin = int(rest.partition(" bytes=")[2].removesuffix("-"))
    assert size // 2 - 1000 <= begin <= size // 2


def test_broken_downloads_leave_nothing_half(session: Session) -> None:
    """The client tries again by itself, or the call fails and the next one is fine."""
    assert session.hub.repos["org/breaking"].breaks == 0
    first = session.answers["broken 1"]
    assert first == 7.0 or first.startswith("HubError: 'model.safetensors' of 'org/breaking'")
    assert len(session.hub.asked("GET /elsewhere/org/breaking/")) == 2
    assert not list(session.cache.rglob("*.incomplete"))


def test_no_pickle_is_downloaded_where_safetensors_exist(session: Session) -> None:
    blobs = {path.resolve().read_bytes() for path in session.cache.rglob("*.bin")}
    for name in ("org/pickled", "org/pickled-shards"):
        files = session.hub.repos[name].revisions["main"]
        for file in files:
            if file.endswith(".bin"):
                assert files[file] not in blobs, f"{name}: {file}"
    assert session.hub.repos["org/stale"].revisions["main"]["pytorch_model.bin"] in blobs
    unasked = session.hub.repos["org/failing-talks"].revisions["main"]["pytorch_model.bin"]
    assert unasked not in blobs, "nobody knew whether there were safetensors"


def test_repositories_with_safetensors_are_not_asked_for_more(session: Session) -> None:
    assert session.hub.asked("/api/models/org/plain") == []
    assert session.hub.asked("/api/models/org/pickled/", f"author={BOT}")
    assert session.hub.asked(INDEX_NAME, "org/shards")


def test_code_in_a_pickle_has_not_run(session: Session) -> None:
    assert not list(Path.cwd().glob("marker"))
    assert "unread" in session.answers["evil"]
