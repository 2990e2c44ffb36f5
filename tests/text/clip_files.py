"""A CLIP vocabulary of 200 tokens, and JSON files."""

from __future__ import annotations

import json
from pathlib import Path

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
TEXTS = ["playing sports", "eating spaghetti!", "a cat's  dog"]
SMALL = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}
_MERGES = ["a t</w>", "c at</w>", "s p", "e a", "sp a", "o r", "t s</w>", "d o", "do g</w>"]


def write_vocabulary(folder: Path, **settings) -> Path:
    """Write vocab.json, merges.txt and a tokenizer_config.json with `settings` on top."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += [merge.replace(" ", "") for merge in _MERGES] + [BEGIN, END]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *_MERGES]) + "\n")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": BEGIN,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
        **settings,
    }
    write_json(folder, "tokenizer_config.json", config)
    return folder


def write_json(folder: Path, name: str, values: dict) -> Path:
    """Write one JSON file."""
    (folder / name).write_text(json.dumps(values))
    return folder


def read_json(path: Path) -> dict:
    """Read it."""
    return json.loads(path.read_text())
