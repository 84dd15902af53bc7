"""A plate in a public bucket, read from moto's server by somebody who has no credentials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import s3fs
import tifffile
from fixtures.s3 import needs_s3, put, s3_server

from data_tools.formats import remote_file
from data_tools.readers.plates.base import read_image
from data_tools.readers.plates.gallery import GalleryConfig, read_gallery
from framework.errors import InputError

pytestmark = needs_s3
TABLE = (
    "URL_OrigDNA,Metadata_Plate,Metadata_Well,Metadata_Site\n"
    "s3://gallery/plate 1/A01_ü.tif,P,A01,1\n"
    "s3://gallery/plate 1/A02.tif,P,A02,1\n"
    "s3://gallery/plate 1/gone.tif,P,A03,1\n"
)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket with a table and two images."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with s3_server() as port:
        server = f"http://127.0.0.1:{port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", server)
        put(f"{server}/gallery", b"", public=True)
        put(f"{server}/gallery/load_data.csv", TABLE.encode(), public=True)
        for name, value in (("A01_%C3%BC", 7), ("A02", 9)):
            tifffile.imwrite(tmp_path / "image.tif", np.full((3, 4), value, np.uint16))
            data = (tmp_path / "image.tif").read_bytes()
            put(f"{server}/gallery/plate%201/{name}.tif", data, public=True)
        _forget_servers()
        yield "s3://gallery/load_data.csv"
        _forget_servers()


def _forget_servers() -> None:
    remote_file._opened.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_public_plate_is_read_without_credentials(bucket: str) -> None:
    export = read_gallery(GalleryConfig(path=bucket))
    assert [(ref.well, str(ref.file)) for ref in export.refs] == [
        ("A01", "s3://gallery/plate 1/A01_ü.tif"),
        ("A02", "s3://gallery/plate 1/A02.tif"),
    ]
    assert int(read_image(export.refs[0]).max()) == 7
    (lost,) = export.problems
    assert lost.well == "A03"
    assert "gone.tif: no such file" in lost.detail
    assert int(read_image(export.refs[1]).max()) == 9


def test_with_credentials_that_are_not_there_it_is_a_sentence(bucket: str) -> None:
    with pytest.raises(InputError, match=r"s3://gallery/load_data\.csv: .*redentials"):
        read_gallery(GalleryConfig(path=bucket, anonymous=False))
