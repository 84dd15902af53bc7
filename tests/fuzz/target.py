"""What one fuzz target is: a folder of valid input, the file in it that is spoiled, and the call that reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Target:
    """One reader and one of its files.

    Attributes:
        name: ``what/file``.
        make: writes valid input into an empty folder.
        file: the file to spoil, below that folder.
        read: reads the folder as the product does and returns what it read, as plain data or arrays.
        table: the file is a text table, so the mutations of tables apply.
        checked: the file has a checksum, so a spoiled one is refused, or what is read is the same.
        costly: reading takes seconds, so it gets an eighth of the inputs that others get.
        needed: nothing can be read without the file, so one that is absent or cannot be opened is refused.
        refuses: further mutations that must be refused, by name.
        takes: mutations that are usually refused, and that this reader may take, by name.
        names: identifiers in the table that may be renamed; what is read must then hold the new names.
        command: arguments of ``wellstream`` that read the same file, for a sample of inputs; ``{folder}`` stands for
            the folder.
    """

    name: str
    make: Callable[[Path], None]
    file: str
    read: Callable[[Path], Any]
    table: bool = False
    checked: bool = False
    costly: bool = False
    needed: bool = True
    refuses: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def of_files(
    what: str, make: Callable[[Path], None], files: tuple[str, ...], read: Callable[[Path], Any], **options: Any
) -> list[Target]:
    """Return a target for each of ``files`` of one input."""
    return [Target(name=f"{what}/{file}", make=make, file=file, read=read, **options) for file in files]
