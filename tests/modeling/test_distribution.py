"""More than one device: the losses are those of one device on the same global batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.distributed import COMPARER, DEVICES, EPOCHS, KILLED_IN, WORKERS
from tests.support.paths import ROOT
from tests.support.shared import made_once

pytestmark = pytest.mark.slow

CLOSE = 1e-4  # sums in another order, over two steps


def start(*args: str, **environment: str) -> subprocess.Popen:
    """Start one process of a training; see `tests/support/distributed.py`."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.distributed", *args],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_workers(*args: str) -> list[subprocess.Popen]:
    """Start two workers that know of each other."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": n}} for n in range(2)]
    return [start("worker", *args, TF_CONFIG=json.dumps(task)) for task in tasks]


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def said_by(process: subprocess.Popen, ends: bool = True) -> dict[str, list[float]]:
    """What a process has printed until its end, which must be a good one where it `ends`."""
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0 or not ends, err[-3000:]
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {what: losses for line in lines for what, losses in line.items()}


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """One device, and two of one process."""
    make = lambda folder: json.dumps(said_by(start("devices")))  # noqa: E731
    return json.loads(made_once(tmp_path_factory, "devices", make))


def killed_workers(folder: Path) -> str:
    """Run two workers, the second of which is killed in the end; returns what they said."""
    first, second = start_workers(str(folder), "kill")
    said = [said_by(second, ends=False)]
    assert second.returncode == -9
    first.kill()  # it waits for the other: whoever manages the workers starts both anew
    return json.dumps([str(folder), [said_by(first, ends=False), *said]])


@pytest.fixture(scope="module")
def backups_and_said(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The folder of the workers' backups, and what the workers said."""
    return json.loads(made_once(tmp_path_factory, "workers", killed_workers))


@pytest.fixture(scope="module")
def backups(backups_and_said: list[Any]) -> Path:
    """Where the workers keep their backups."""
    return Path(backups_and_said[0])


@pytest.fixture(scope="module")
def workers(backups_and_said: list[Any]) -> list[dict[str, list[float]]]:
    """What two workers said, the second of which was killed in the end."""
    return backups_and_said[1]


@pytest.mark.parametrize("what", [*DEVICES, f"{COMPARER} predicted"])
def test_two_devices_of_one_process(what: str, devices: dict[str, list[float]]) -> None:
    assert devices[f"two {what}"] == pytest.approx(devices[f"one {what}"], rel=CLOSE)


@pytest.mark.parametrize("what", [*WORKERS, f"{WORKERS[0]} evaluated"])
def test_two_workers(
    what: str, devices: dict[str, list[float]], workers: list[dict[str, list[float]]]
) -> None:
    """Keras's own `fit` fails here (its issue 20585): this is the test of our repairs."""
    for losses in workers:
        assert losses[f"worker {what}"] == pytest.approx(devices[f"one {what}"], rel=CLOSE)


def test_a_killed_worker_goes_on(
    devices: dict[str, list[float]], workers: list[dict[str, list[float]]], backups: Path
) -> None:
    """All start anew from the last whole epoch, and learn what they would have learnt."""
    whole = devices[f"longer {list(range(EPOCHS))}"]
    assert not any(what.startswith("longer") for said in workers for what in said)
    for worker in (0, 1):
        kept = json.loads((backups / f"worker-{worker}" / "training_metadata.json").read_text())
        assert kept["epoch"] == KILLED_IN
    for process in start_workers(str(backups)):
        said = said_by(process)
        assert list(said) == [f"longer {list(range(KILLED_IN, EPOCHS))}"]
        (losses,) = said.values()
        assert losses == pytest.approx(whole[KILLED_IN:], rel=CLOSE)
    assert not (backups / "worker-0").exists()  # nothing is left of a run that has ended


def test_the_guide_is_what_is_tested() -> None:
    """docs/distribution.md shows the same backup as the tested run has."""
    text = (ROOT / "docs" / "distribution.md").read_text(encoding="utf-8")
    code = (ROOT / "tests" / "support" / "distributed.py").read_text(encoding="utf-8")
    shown = text.split("```python\ndef backup_of_all")[1].split("```")[0]
    assert shown.strip() in code
