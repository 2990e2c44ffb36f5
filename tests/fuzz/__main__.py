"""Read mutated files, and report what is neither accepted rightly nor refused as documented.

    python -m tests.fuzz                                  # 20,000 inputs, ten minutes
    python -m tests.fuzz --count 2000 --reader image      # a part of them; --reader may come again
    python -m tests.fuzz --reader image --repeat FOLDER   # one input that was kept, with its stack

Each reader has processes of its own, in which an input may take 20 seconds and 2 GB. The inputs of
faults are kept in `--out`. The exit code is 1 if there was a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.fuzz.readers import READERS
from tests.support.paths import ROOT

_CHUNK = 500  # inputs of a process
_MOST_DEATHS = 20  # of the processes of one chunk, after which it is given up
_KEPT = 3  # inputs kept of a kind of fault
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def run(names: Sequence[str], count: int, seed: int, folder: Path, jobs: int) -> list[dict]:
    """Read `count` inputs, shared out among readers; returns the verdicts."""
    total = sum(READERS[name].share for name in names)
    pieces = []
    for name in names:
        own = max(round(count * READERS[name].share / total), 1)
        pieces += [(name, at, min(at + _CHUNK, own)) for at in range(0, own, _CHUNK)]
    pieces.sort(key=lambda piece: READERS[piece[0]].is_light)  # the long ones first
    with ThreadPoolExecutor(jobs) as pool:
        found = pool.map(lambda piece: list(_read(*piece, seed, folder)), pieces)
        return [verdict for verdicts in found for verdict in verdicts]


def _read(name: str, first: int, end: int, seed: int, folder: Path) -> Iterator[dict[str, Any]]:
    """The verdicts of some inputs; a new process goes on behind the one that ended another."""
    at, deaths, tries = first, 0, 0
    while at < end:
        done, begun = at, at
        process = _start(name, at, end, seed, folder)
        assert process.stdout is not None
        for line in process.stdout:
            verdict = json.loads(line)
            done = verdict["number"] + 1
            yield {"reader": name, **verdict}
        code = process.wait()
        at, tries = done, tries if done == begun else 0
        if at >= end:
            return
        work = folder / "work" / f"{name}-{begun}"
        if not work.exists():
            raise RuntimeError(f"{name} cannot start: {work.with_suffix('.log').read_text()}")
        died = _death(work.with_suffix(".log"), code)
        tries, deaths = tries + 1, deaths + 1
        if died["type"] == "too long" and tries < 2:
            continue  # once more, alone in its process: the machine may have been busy
        target = folder / "faults" / f"{name}-{at}"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(work, target)
        yield {"reader": name, "number": at, "seconds": 0.0, "kind": "fault", **died}
        at, tries = at + 1, 0
        if deaths >= _MOST_DEATHS:
            text = f"given up: {deaths} processes have ended early"
            yield {
                **died,
                "reader": name,
                "number": at,
                "seconds": 0,
                "kind": "fault",
                "text": text,
            }
            return


def _start(name: str, at: int, end: int, seed: int, folder: Path) -> subprocess.Popen:
    settings = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # each maps memory that it may never use
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    arguments = [name, str(folder), str(at), str(end), str(seed)]
    command = [sys.executable, "-m", "tests.fuzz.worker", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True)


def _death(log: Path, code: int) -> dict[str, str]:
    """Why a process has ended, from the stack that Python wrote."""
    text = log.read_text(errors="replace") if log.exists() else ""
    frames = [f"{file.removeprefix(f'{ROOT}/')}:{line}" for file, line in _FRAME.findall(text)]
    own = [frame for frame in frames if frame.startswith(("tfzoo/", "weights_convert/"))]
    kind = "too long" if "Timeout" in text else f"exit code {code}"
    place = (own or frames or ["?"])[0]
    return {"type": kind, "place": place, "text": " ".join(text.split())[:300]}


# -- the report -----------------------------------------------------------------------------------


def report(verdicts: Sequence[dict[str, Any]], folder: Path) -> str:
    """A table of the readers, and the faults by type and place."""
    lines = [f"{'reader':16} {'inputs':>6} {'accepted':>8} {'refused':>7} {'faults':>6}  slowest"]
    for name in [*READERS, "all"]:
        own = [v for v in verdicts if name in (v["reader"], "all")]
        if not own:
            continue
        kinds, slowest = Counter(v["kind"] for v in own), max(v["seconds"] for v in own)
        numbers = [kinds[kind] for kind in ("accepted", "refused", "fault")]
        types = Counter(v["type"] for v in own if v["kind"] == "refused").most_common(5)
        shown = ", ".join(f"{kind} {n}" for kind, n in types)
        first, second, third = numbers
        lines.append(
            f"{name:16} {len(own):6} {first:8} {second:7} {third:6}  {slowest:.1f} s  {shown}"
        )
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for verdict in verdicts:
        if verdict["kind"] == "fault":
            groups[verdict["reader"], verdict["type"], verdict["place"]].append(verdict)
    for (name, kind, place), faults in sorted(groups.items(), key=lambda item: -len(item[1])):
        lines.append(f"\n{len(faults)} x {name}: {kind} at {place}\n    {faults[0]['text'][:240]}")
        for fault in faults[:_KEPT]:
            lines.append(f"    --reader {name} --repeat {folder}/faults/{name}-{fault['number']}")
        for fault in faults[_KEPT:]:
            shutil.rmtree(folder / "faults" / f"{name}-{fault['number']}", ignore_errors=True)
    return "\n".join(lines)


def repeat(name: str, folder: Path) -> int:
    """Read one input that was kept, in this process; a copy of it, as reading may write."""
    from tests.fuzz.judge import judge, limited

    prepared = READERS[name].prepare()
    copy = Path(tempfile.mkdtemp()) / "input"
    shutil.copytree(folder, copy)

    def shown(value: Any) -> None:
        try:
            prepared.check(value)
        except BaseException:
            traceback.print_exc()
            raise

    def read(path: Path) -> Any:
        try:
            return prepared.read(path)
        except BaseException:
            traceback.print_exc()
            raise

    with limited():
        verdict = judge(prepared._replace(read=read, check=shown), copy)
    print(verdict)
    shutil.rmtree(copy.parent)
    return int(verdict.kind == "fault")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="inputs (default: 20000)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: 0)")
    parser.add_argument("--reader", action="append", choices=[*READERS], help="default: all")
    parser.add_argument("--out", type=Path, help="folder of the inputs of faults")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--repeat", type=Path, help="read this one input instead")
    options = parser.parse_args(arguments)
    if options.repeat is not None:
        return repeat(options.reader[0], options.repeat)
    folder = (options.out or Path(tempfile.mkdtemp(prefix="tfzoo-fuzz-"))).resolve()
    verdicts = run(options.reader or [*READERS], options.count, options.seed, folder, options.jobs)
    print(report(verdicts, folder))
    (folder / "verdicts.json").write_text(json.dumps(verdicts))
    return int(any(verdict["kind"] == "fault" for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
