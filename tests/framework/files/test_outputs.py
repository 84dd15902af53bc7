"""Names that outputs may have, and inputs that no output replaces."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framework.errors import ConfigError
from framework.files.outputs import check_not_read, check_output_file, check_output_folder


def test_a_file_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    table.write_text("a,b\n")
    with pytest.raises(ConfigError, match=r"scores\.csv: the output is an \.html file; .*such as scores\.html"):
        check_output_file(table, ".html")
    check_output_file(tmp_path / "scores.html", ".html")


@pytest.mark.parametrize("name", ["same", "link", "hard", "dotted"])
def test_an_input_is_not_replaced_under_any_of_its_names(tmp_path: Path, name: str) -> None:
    read = tmp_path / "wells.h5ad"
    read.write_bytes(b"")
    (tmp_path / "link.h5ad").symlink_to(read)
    os.link(read, tmp_path / "hard.h5ad")
    out = {"same": read, "dotted": tmp_path / ".." / tmp_path.name / "wells.h5ad"}.get(name, tmp_path / f"{name}.h5ad")
    with pytest.raises(ConfigError, match="is read by this command, and would be replaced"):
        check_output_file(out, ".h5ad", [None, "http://host/wells.h5ad", object(), read])


def test_other_files_are_free(tmp_path: Path) -> None:
    (tmp_path / "there.h5ad").write_bytes(b"old")
    check_output_file(tmp_path / "there.h5ad", ".h5ad", [tmp_path / "wells.h5ad"])
    check_not_read([tmp_path / "there.h5ad"], ["x" * 5000, "nul\0", tmp_path])


@pytest.mark.parametrize("name", ["p.csv", "fig.PNG", "cells.h5ad", "a.yaml"])
def test_a_new_folder_does_not_end_like_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="the output is a folder, and this name ends like that of a file"):
        check_output_folder(tmp_path / name)
    (tmp_path / name).mkdir()
    check_output_folder(tmp_path / name)


@pytest.mark.parametrize("name", ["plate.v1", "split-0.5", "cells.zarr", "2026.11.30"])
def test_a_folder_may_have_a_dot_in_its_name(tmp_path: Path, name: str) -> None:
    check_output_folder(tmp_path / name)


def test_files_of_a_folder_do_not_replace_inputs(tmp_path: Path) -> None:
    read = tmp_path / "omics_r2.csv"
    read.write_text("gene\n")
    with pytest.raises(ConfigError, match=r"omics_r2\.csv: is read by this command"):
        check_output_folder(tmp_path, ["omics_r2.csv"], [str(read)])
    check_output_folder(tmp_path, ["other.csv"], [str(read)])
