"""Many inputs of one reader in a process with limits.

    python -m tests.fuzz.worker READER FOLDER FIRST END SEED

reads the inputs FIRST to END, and prints a line of JSON for each: its number, `Verdict` and the
seconds. An input that ends the process (killed, crashed, out of time) is the one after the last
line; its files are in the folder READER-FIRST of FOLDER's `work`, and Python's stack in the `.log`
beside it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from tests.fuzz.judge import SECONDS, Prepared, Verdict, judge, limited
from tests.fuzz.mutants import Files, mutant
from tests.fuzz.readers import READERS, Reader

__all__ = ["judge_input", "make_input", "read_seeds", "write_folder"]


def write_folder(folder: Path, files: Files) -> None:
    """Make a folder anew, with these files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        with open(os.path.join(os.fsencode(folder), os.fsencode(name)), "wb") as file:
            file.write(content)


def read_seeds(reader: Reader, folder: Path) -> list[Files]:
    """A reader's sound files; kept in `folder`, since they take long to make."""
    kept = folder / "seeds" / reader.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            scratch = kept.with_name(f".{reader.name}")
            for number, files in enumerate(reader.seeds()):
                write_folder(scratch / f"{number:03d}", files)
            os.rename(scratch, kept)
    return [
        {path.name: path.read_bytes() for path in sorted(one.iterdir())}
        for one in sorted(kept.iterdir())
    ]


def make_input(reader: Reader, sound: list[Files], number: int, seed: int) -> Files:
    """The files of an input: the first ones are the sound ones, as they are."""
    if number < len(sound):
        return sound[number]
    rng = random.Random(f"{seed}/{reader.name}/{number}")
    return mutant(sound[number % len(sound)], rng, renames=reader.renames)


def judge_input(prepared: Prepared, work: Path, files: Files, is_sound: bool) -> Verdict:
    """Read an input from a folder that is made for it, within the memory that it may take.

    A sound file that is refused is a fault as well, unless it may be.
    """
    write_folder(work, files)
    with limited():
        verdict = judge(prepared, work)
    if is_sound and verdict.kind == "refused" and "_odd" not in files:
        return replace(verdict, kind="fault", type=f"a sound file, {verdict.type}")
    return verdict


def main(name: str, folder: Path, first: int, end: int, seed: int) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    work = folder / "work" / f"{name}-{first}"
    work.parent.mkdir(parents=True, exist_ok=True)
    log = open(work.with_suffix(".log"), "w")  # noqa: SIM115 - stays open for a crash
    sys.stderr = log  # tracebacks of this program; libraries write to the descriptor
    faulthandler.enable(log, all_threads=False)
    faulthandler.dump_traceback_later(300, exit=True, file=log)  # until it is ready
    reader = READERS[name]
    sound = read_seeds(reader, folder)
    prepared = reader.prepare()
    for files in sound:  # what is imported late is not an input's own
        write_folder(work, files)
        judge(prepared, work)
    for number in range(first, end):
        files = make_input(reader, sound, number, seed)
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=log)
        start = time.perf_counter()
        verdict = judge_input(prepared, work, files, number < len(sound))
        seconds = time.perf_counter() - start
        faulthandler.cancel_dump_traceback_later()
        if verdict.kind == "fault":
            keep(work, folder / "faults" / f"{name}-{number}")
        answer = {"number": number, "seconds": round(seconds, 3), **verdict.to_dict()}
        print(json.dumps(answer), file=answers, flush=True)
    shutil.rmtree(work)
    os._exit(0)  # without the goodbyes of libraries that have seen strange files


def keep(work: Path, target: Path) -> None:
    """Keep the files of an input, for a second look."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(work, target)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6]))
