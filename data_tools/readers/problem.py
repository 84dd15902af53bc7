"""A problem with the input, in one form for all readers, plate maps and ingests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something of the input that cannot be used.

    Attributes:
        plate: plate or export of cells.
        well: ``A01``, or the name of a bag of cells; None where it concerns the whole plate.
        site: field of view, where there is one.
        file: path of the file, where there is one.
        reason: short kind, as ``missing_image``.
        detail: the sentence that names what, where and what to do.
    """

    plate: str
    well: str | None = None
    site: int | None = None
    file: str | None = None
    reason: str
    detail: str

    def relative_to(self, base: Path) -> Problem:
        """Return the problem without the folder of the command in its texts."""
        file = None if self.file is None else relative_text(self.file, base)
        return replace(self, file=file, detail=relative_text(self.detail, base))


def relative_text(text: str, base: Path) -> str:
    """Return ``text`` without the folder of the command: equal inputs give equal messages wherever they lie."""
    return text.replace(f"{base}/", "")
