"""`push_to_hub`: what is uploaded, to a client that notes it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

import tfzoo
from tests.models.timesformer.cases import CASES
from tests.support.xclip_checkpoint import write_xclip_checkpoint
from tfzoo.hub import HubError


class Client:
    """Stands for the hub's client.

    Attributes:
        token: What it was made with.
        calls: Keywords of each call by the method's name, with the files of an upload.
    """

    error: Exception | None = None

    def __init__(self, token: Any = None) -> None:
        self.token, self.calls = token, {}
        type(self).last = self

    def create_repo(self, repo_id: str, **options: Any) -> SimpleNamespace:
        self.calls["create_repo"] = {"repo_id": repo_id, **options}
        if self.error:
            raise self.error
        return SimpleNamespace(repo_id=repo_id if "/" in repo_id else f"me/{repo_id}")

    def upload_folder(self, folder_path: str, **options: Any) -> SimpleNamespace:
        files = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}
        self.calls["upload_folder"] = {**options, "files": files, "folder": folder_path}
        return SimpleNamespace(commit_url="https://hub/commit/1")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    for variable in ("TFZOO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(huggingface_hub, "HfApi", Client)
    monkeypatch.setattr(Client, "error", None)
    return Client


def test_models_are_pushed(client: Any) -> None:
    model = CASES[0].load()
    url = model.push_to_hub("tiny", private=True, token="hf_x", max_shard_size="10KB")
    assert url == "https://hub/commit/1"
    assert client.last.token == "hf_x"
    made, sent = (client.last.calls[name] for name in ("create_repo", "upload_folder"))
    assert made == {"repo_id": "tiny", "private": True, "exist_ok": True}
    assert sent["repo_id"] == "me/tiny"
    assert (sent["revision"], sent["create_pr"]) == (None, False)
    assert sent["commit_message"] == f"Upload {type(model).__name__}"
    assert "config.json" in sent["files"]
    assert len(sent["files"]) > 3  # shards, as asked for
    assert not Path(sent["folder"]).exists()


def test_whatever_is_saved_can_be_pushed(client: Any, tmp_path: Path) -> None:
    folder = write_xclip_checkpoint(tmp_path / "xclip")
    processor = tfzoo.AutoProcessor.from_pretrained(folder)
    parts = (processor, processor.tokenizer, processor.image_processor)
    config = tfzoo.AutoConfig.from_pretrained(folder)
    for part, name in zip(
        (*parts, config),
        ("tokenizer.json", "vocab.json", "preprocessor_config.json", "config.json"),
        strict=True,
    ):
        part.push_to_hub("org/x", commit_message="mine", revision="dev", create_pr=True)
        sent = client.last.calls["upload_folder"]
        assert name in sent["files"]
        assert (sent["commit_message"], sent["revision"], sent["create_pr"]) == (
            "mine",
            "dev",
            True,
        )
    assert json.loads(sent["files"]["config.json"])["model_type"] == "xclip"


def test_what_the_hub_refuses(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tfzoo.TimesformerConfig()
    client.error = RuntimeError("403: no rights\x1b[2J")
    with pytest.raises(HubError, match="'org/x' cannot be written to: 403: no rights.*log in"):
        config.push_to_hub("org/x")
    client.error = None
    monkeypatch.setenv("TFZOO_OFFLINE", "1")
    with pytest.raises(HubError, match="TFZOO_OFFLINE=1 forbids the upload to 'org/x'"):
        config.push_to_hub("org/x")
    monkeypatch.delenv("TFZOO_OFFLINE")
    with pytest.raises(TypeError, match="unexpected keyword"):
        config.push_to_hub("org/x", max_size=3)
