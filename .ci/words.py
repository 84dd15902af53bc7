"""Finds words that make text hard to read: "a" where "per" is meant, constants named so, and "is no" for "is not a".

Run by ``make lint`` over all text of the repository. Exit code 1 and one line per finding.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_UNIT = (
    "well|tile|bag|cell|row|shard|rank|step|epoch|plate|site|field|file|gene|channel|image|thread|worker|process|node|"
    "core|GPU|request|machine|job|task|object|sample|second|minute|line|run|condition|protein|page|column|pixel|crop|"
    "block|batch|tree|source|group|population|chunk|part|stage|layer|marker|class|folder|perturbation|seed|target|pair|"
    "nucleus|fold|arm|mistake|modality|attribute|connection|format|vendor|dataset|chapter"
)
_COUNTED = (
    "rows?|files?|bytes|tiles?|cells?|bags?|shards?|values?|numbers?|columns?|lines?|tasks?|threads?|pages?|images?|"
    "pixels?|nuclei|nucleus|wells?|sites?|KB|MB|GB|ms|seconds?|draws?|steps?|tables?|points?|panels?|splits?|fields?|"
    "reads?|requests?|samples?|jobs?|processes|folders?|genes?|arrays?|calls?|epochs?|vectors?|markers?|channels?|"
    "heads?|trees?|maps?|chunks?|blocks?|scores?|counts?|bars?|crops?|proteins?|records?|fits?|mappings?|entry|entries|"
    "PNGs?|pictures?|sentences?|objects?|names?|notes?|models?|tensors?|problems?|readers?|modules?|tests?|copies|copy"
)
_QUANTITY = r"(?:a|an|one|two|three|\d[\d,.]*|many|few|some|most|no|each|every)"
_BETWEEN = r"(?:\([^)]*\) |(?:[\w-]+ ){1,3}?)"
"""``(H, W)``, or up to three words, between a quantity and what is counted."""
_VERBS = "names|has|had|was|is|holds|reads|wants|needs|gives|at|listed|writes|takes|asks|sends|says|states|keeps|drew"
_ENDS = rf"\b(?! (?:{_VERBS})\b)(?!-)"
_RATES = "bytes|tiles|steps|bags|KB|MB|GB|ms|kB|cells|rows"
PATTERNS = (
    re.compile(rf"\b{_QUANTITY} (?:{_BETWEEN}(?!fit))?(?:{_COUNTED}) an? (?:{_UNIT}){_ENDS}", re.IGNORECASE),
    re.compile(rf"\bhow many an? (?:{_UNIT}){_ENDS}", re.IGNORECASE),
    re.compile(rf"\b(?:once|twice|one) an? (?:{_UNIT}){_ENDS}", re.IGNORECASE),
    re.compile(rf"(?<!\w )\b(?:{_RATES}) an? (?:tile|step|epoch|second|minute|bag|rank|request)\b"),
    re.compile(r"\b_?[A-Z]+(?:_[A-Z]+)*_AN?_[A-Z]+\b"),
)
_OTHER_NO = "longer|more|less|greater|better|larger|worse|smaller|slower|faster|higher|lower|different"
DENIED = re.compile(rf"(?<![Tt]here )\b(?:is|are|was|were) no (?!(?:{_OTHER_NO})\b)[A-Za-z]+")
"""``is no well``, where English says ``is not a well``; ``there is no well`` and ``is no longer`` are English."""


_RATE = "write 'per', as in 'one row per well', TILES_PER_STEP"
_NOT = "write 'is not a'"


def findings(text: str) -> list[tuple[int, str, str]]:
    """Return (line, words, what to write) of everything in a text that a pattern finds."""
    return [
        (number, match[0], _NOT if pattern is DENIED else _RATE)
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in (*PATTERNS, DENIED)
        for match in pattern.finditer(line)
    ]


def main() -> int:
    """Check every file of text that git knows."""
    listing = ["git", "ls-files", "-z", "*.py", "*.pyi", "*.md", "*.yaml", "*.cfg", "*.toml", "Makefile"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")  # noqa: S603
    bad = 0
    for name in names:
        if not name or name.endswith("words.py"):
            continue  # these hold the patterns
        for line, words, advice in findings(Path(name).read_text(encoding="utf-8")):
            print(f"{name}:{line}: '{words}': {advice}")
            bad += 1
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
