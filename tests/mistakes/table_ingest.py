"""Mistakes on the way from an export to a dataset."""

from __future__ import annotations

from typing import Any

from mistakes.mistake import Mistake

INGEST = "ingest plate.yaml --out new --workers 0"
LOOK = "ingest plate.yaml --out new --dry-run"
WARNED = {"of_warning": "The nucleus diameter", "code": 0}


def _plate(done: str, old: str, new: str, typed: str = INGEST, **more: Any) -> Mistake:
    return Mistake(done=done, typed=typed, changed={"plate.yaml": (old, new)}, **more)


CONFIG = (
    Mistake(done="The config does not exist", typed="ingest plat.yaml --out new"),
    Mistake(done="The export in place of a config", typed="ingest raw/SIM --out new"),
    Mistake(done="No place for the dataset", typed="ingest plate.yaml"),
    _plate("A typo in a key", "channels:", "chanels:"),
    _plate("A typo inside a section", "diameter_um", "diamter_um"),
    _plate("Text in place of a list", "[Hoechst, MitoTracker, Phalloidin]", "Hoechst"),
    _plate("A list in place of text", "name: first", "name: [first, second]"),
    _plate("A number with its unit", "diameter_um: 14.4", "diameter_um: 14.4 um"),
    _plate("A decimal comma", "diameter_um: 14.4", "diameter_um: '14,4'"),
    _plate("A negative diameter", "diameter_um: 14.4", "diameter_um: -14.4"),
    _plate("A tab in the YAML", "  - source:", "\t- source:"),
    _plate("A bracket that is not closed", "Phalloidin]", "Phalloidin"),
    _plate("No space after a colon", "name: first", "name:first"),
    _plate("A tile of half a pixel", "size_px: 48", "size_px: 48.5"),
    _plate("Three mistakes at once", "nuclei: {channel: Hoechst, diameter_um: 14.4}\ntiles: {size_px: 48}",
           "nuclei: {chanel: Hoechst, diameter_um: big}\ntiles: {size_px: -1}"),
)  # fmt: skip

EXPORT = (
    _plate("A wrong path of the export", "raw/SIM", "raw/SMI"),
    _plate("A microscope with another name", "name: harmony", "name: phenix"),
    _plate("A channel that was not imaged", "MitoTracker, Phalloidin]", "Mitotracker, Actin]"),
    _plate("Nuclei in a channel that is not there", "channel: Hoechst, diam", "channel: DAPI, diam"),
    _plate("A tile larger than a field", "size_px: 48", "size_px: 480"),
    _plate("A pattern that matches no file", "{name: harmony, path: raw/SIM}",
           "{name: filenames, path: raw/SIM, plate: P1, pattern: '(?P<well>[A-H]\\d+)_(?P<channel>\\w+)\\.tif'}"),
    _plate("A pattern without the well", "{name: harmony, path: raw/SIM}",
           "{name: filenames, path: raw/SIM, plate: P1, pattern: 'f(?P<site>\\d+)-(?P<channel>\\w+)\\.tiff'}"),
    _plate("A pattern that is not a regular expression", "{name: harmony, path: raw/SIM}",
           "{name: filenames, path: raw/SIM, plate: P1, pattern: '(?P<well>*.tiff'}"),
    _plate("Flat-field of a method that is not there", "method: none", "method: basic"),
    _plate("A diameter of 3 um", "diameter_um: 14.4", "diameter_um: 3", LOOK, **WARNED),
    _plate("A diameter of 30 um", "diameter_um: 14.4", "diameter_um: 30", LOOK, **WARNED),
    _plate("A diameter of 100 um", "diameter_um: 14.4", "diameter_um: 100", LOOK, **WARNED),
    Mistake(done="A negative number of workers", typed="ingest plate.yaml --out new --workers=-1"),
    Mistake(done="A dataset of another config is there", typed="ingest plate.yaml --out data tiles.size_px=32"),
    Mistake(done="A folder of other files is there", typed="ingest plate.yaml --out run"),
)  # fmt: skip

TABLES = (
    _plate("A plate map that does not exist", "platemap.csv", "platmap.csv"),
    Mistake(done="A column of the plate map with another name", typed=INGEST,
            changed={"platemap.csv": ("Metadata_Perturbation", "Compound")}),
    Mistake(done="No column of wells", typed=INGEST, changed={"platemap.csv": ("Metadata_Well", "Position")}),
    Mistake(done="A plate map of another plate", typed=INGEST, changed={"platemap.csv": ("SIM,", "Plate_7,")}),
    Mistake(done="Wells that are not wells", typed=INGEST, changed={"platemap.csv": ("A01", "1-A")}),
    Mistake(done="A well twice in the plate map", typed=INGEST, changed={"platemap.csv": ("A02", "A01")}),
    Mistake(done="Controls by another word", typed=INGEST, changed={"platemap.csv": ("treatment", "sample")}),
    Mistake(done="An Excel file as plate map", typed=f"{INGEST} plates.0.platemap.path=map.xlsx",
            written={"map.xlsx": "PK\x03\x04 xl/worksheets/sheet1.xml"}),
    _plate("An omics table that does not exist", "transcripts.csv", "transcript.csv"),
    _plate("Genes by samples, one row per gene", "transcripts.csv", "turned.csv"),
    _plate("A table without a column of samples", "transcripts.csv", "bare.csv"),
    _plate("Counts that are not whole numbers", "transcripts.csv", "logged.csv"),
    _plate("Text where a gene has its number", "transcripts.csv", "worded.csv"),
    _plate("Perturbations called otherwise than on the plate", "transcripts.csv", "renamed.csv"),
    _plate("A kind of omics table that is not there", "kind: counts", "kind: rnaseq"),
)  # fmt: skip

CELLS = (
    Mistake(done="Cells: the folder does not exist", typed="ingest cells.yaml --out new --workers 0"),
    Mistake(done="Cells: a pattern that matches nothing", typed="ingest cells.yaml --out new --workers 0",
            written={"crops/s1/cell1.tif": "", "crops/s1/cell2.tif": ""}),
    Mistake(done="init: a folder that is not there", typed="init my/plate"),
    Mistake(done="init: a folder of JPEGs", typed="init photos",
            written={"photos/a.jpg": "x", "photos/b.jpg": "x", "photos/notes.txt": "x"}),
    Mistake(done="init: a reader that is not there", typed="init raw/SIM --reader phenix"),
    Mistake(done="update: a key that pixels depend on", typed="update data plate.yaml tiles.size_px=32"),
)  # fmt: skip
