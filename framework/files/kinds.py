"""What a file is, by its first bytes: a file that is no text is named as what it is, and with what to do about it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import BinaryIO

HEAD_BYTES = 1024
"""How many first bytes ``recognised`` looks at."""
_SHEET = "save the sheet as CSV (UTF-8) and name that file"
_OFFICE = f"an old Office file, as Excel writes .xls; {_SHEET}"
_UNPACK = "unpack it and name the file inside"
_WORDS: tuple[tuple[bytes, str], ...] = (
    (b"PAR1", "a Parquet file; where such tables are not read, save it as CSV"),
    (b"ARROW1", "an Arrow file; save it as Parquet or CSV"),
    (b"FEA1", "a Feather file; save it as Parquet or CSV"),
    (b"II*", "a TIFF image"),
    (b"II+", "a TIFF image"),
    (b"BZh", f"packed twice; {_UNPACK}"),
    (b"Rar!", f"a RAR archive; {_UNPACK}"),
    (b"RDX", "a file of R objects; save the table with write.csv in R"),
    (b"MZ", "a program"),
)
"""Marks that a text could begin with too (PAR1 is a gene): they count where bytes follow that no text has."""
_FOUND: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as .h5ad and .h5 are; name it with its suffix where such files are read"),
    (b"SQLite format 3\x00", "an SQLite database; export the table as CSV"),
    (b"%PDF", "a PDF document; export the table as CSV"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OFFICE),
    (b"{\\rtf", "a document in RTF; save the table as CSV"),
    (b"MM\x00*", "a TIFF image"),
    (b"MM\x00+", "a TIFF image"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x93NUMPY", "a NumPy array; save the table as CSV"),
    (b"\x28\xb5\x2f\xfd", f"a Zstandard file; {_UNPACK}"),
    (b"\x1f\x8b", f"packed with gzip twice; {_UNPACK}"),
    (b"\xfd7zXZ\x00", f"packed twice; {_UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7-Zip archive; {_UNPACK}"),
    (b"PK\x03\x04", f"a ZIP archive; {_UNPACK}"),
    (b"PK\x05\x06", f"an empty ZIP archive; {_UNPACK}"),
    (b"FCS2.0    ", "an FCS file of flow cytometry"),
    (b"FCS3.0    ", "an FCS file of flow cytometry"),
    (b"FCS3.1    ", "an FCS file of flow cytometry"),
    (b"FCS3.2    ", "an FCS file of flow cytometry"),
    (b"X\n\x00\x00\x00", "a file of R objects; save the table with write.csv in R"),
    (b"\x7fELF", "a program"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself; fetch the file with: git lfs pull"),
    (b"%%MatrixMarket", "a Matrix Market file; name the folder with its barcodes and features"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05][\x95\x8a\x8c}\]\(c]")
_HTML = re.compile(rb"\s*<(!doctype html|html|head|body|table)\b", re.IGNORECASE)
_XML = re.compile(rb"\s*<(\?xml\b|!doctype\b|[A-Za-z][\w:.-]* [\w:.-]+=)", re.IGNORECASE)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_JSON = re.compile(rb'\s*(\{\s*("|\})|\[\s*([\[{"\]]|-?\d+\s*[,\]]))')


def recognised(head: bytes) -> str | None:
    """Return what a file is by its first bytes, as ``a Parquet file; ...`` with what to do; None for what may be text.

    Args:
        head: its first ``HEAD_BYTES`` bytes, unpacked where it is packed.
    """
    for mark, name in (*_FOUND, *(_WORDS if _NO_TEXT.search(head) else ())):
        if head.startswith(mark):
            return name
    if head[257:262] == b"ustar":
        return f"a TAR archive; {_UNPACK}"
    if _PICKLE.match(head):
        return "a pickle of Python, which is never read, as reading one runs its code; save the table as CSV"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if _HTML.match(text):
        return "a web page (HTML), perhaps that of a login or an error; download the file itself"
    if _XML.match(text):
        return "an XML file; export the table as CSV"
    return "a JSON file; export the table as CSV" if _JSON.match(text) else None


def inside_zip(file: Path, stream: BinaryIO) -> str | None:
    """Return what a ZIP file is: Excel, OpenDocument, Word and NumPy files are ZIP archives too; None for others."""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return "a damaged ZIP archive or Excel workbook; copy or export it again" if file.suffix else None
    if any(name.startswith("xl/") for name in names):
        return f"an Excel workbook; {_SHEET}"
    if any(name.startswith("word/") for name in names):
        return "a Word document; save the table as CSV"
    if {"content.xml", "mimetype"} <= names:
        return f"an OpenDocument file; {_SHEET}"
    if names and all(name.endswith(".npy") for name in names):
        return "a file of NumPy arrays (.npz); save the table as CSV"
    return None


def found_instead(file: Path) -> str:
    """Return what a file is that should be of another kind: ``an Excel workbook; ...``, ``text`` or ``other bytes``."""
    with file.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        named = inside_zip(file, stream) if head.startswith(b"PK") else None
    if head.startswith(b"\x1f\x8b"):
        return f"a file packed with gzip; {_UNPACK}"
    named = named or recognised(head)
    if named is not None:
        return named
    if not head:
        return "nothing, as it is empty"
    return "other bytes" if _NO_TEXT.search(head) else "text; name it with the suffix .csv where text is read"
