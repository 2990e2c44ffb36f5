"""What a planted fault is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """A one-line replacement that makes the product wrong.

    Attributes:
        name: Short and unique; begins with the part that it is planted in.
        file: The product's file, from the root.
        old: Text that stands in the file exactly once.
        new: What it becomes.
        tests: Arguments of pytest that choose the tests which should notice.
        slow: The fault belongs to something that only tests marked `slow` reach.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    slow: bool = False

    def planted(self, root: Path) -> str:
        """The file's text with the fault in it, in the tree at `root`.

        Raises:
            ValueError: `old` does not stand in the file exactly once, or nothing would change.
        """
        text = (root / self.file).read_text(encoding="utf-8")
        count = text.count(self.old)
        if count != 1 or self.old == self.new:
            raise ValueError(
                f"{self.name}: expected its text once in {self.file}, found it {count} times: "
                f"{self.old!r}. Update the fault in tests/planted_faults."
            )
        return text.replace(self.old, self.new)
