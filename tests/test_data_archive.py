"""Unpacking: what comes out of good archives, and that hostile ones leave nothing behind."""

import io
import tarfile
import zipfile

import pytest

from kp_helpers.data import DataError, archive
from kp_helpers.data.__main__ import main

GOOD = {"imageFiles/walk/image_00000.jpg": b"jpeg", "imageFiles/readme.txt": b""}


def zipped(path, files: dict, links: dict | None = None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o120777 << 16
            opened.writestr(entry, target)
    return path


def tarred(path, files: dict, links: dict | None = None, kind=tarfile.SYMTYPE):
    mode = {".tar": "w", ".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}[path.suffix]
    with tarfile.open(path, mode) as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            opened.addfile(entry)
    return path


WRITERS = {"a.zip": zipped, "a.tar": tarred, "a.tar.gz": tarred, "a.tar.bz2": tarred, "a.tar.xz": tarred}


def refused(tmp_path, path, message: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=f"{path.name}: .*{message}"):
        archive.unpack(path, tmp_path / "target")
    assert sorted(tmp_path.rglob("*")) == before, "something was left behind"


@pytest.mark.parametrize("name", WRITERS)
def test_a_good_archive_comes_out_whole(name, tmp_path, capsys):
    files = {**GOOD, "__MACOSX/._walk": b"x", "imageFiles/._readme.txt": b"x", "imageFiles/.DS_Store": b"x"}
    path = WRITERS[name](tmp_path / name, files)
    assert main(["unpack", str(path), str(tmp_path / "target")]) == 0
    assert "2 files" in capsys.readouterr().out
    found = [path for path in (tmp_path / "target").rglob("*") if path.is_file()]
    assert {str(p.relative_to(tmp_path / "target")): p.read_bytes() for p in found} == GOOD
    assert {path.name for path in tmp_path.iterdir()} == {name, "target"}


def test_two_archives_unpack_into_one_folder_and_nothing_is_overwritten(tmp_path):
    litter = {"__MACOSX/._a": b"x"}
    archive.unpack(zipped(tmp_path / "a.zip", GOOD | litter), tmp_path / "target")
    archive.unpack(zipped(tmp_path / "b.zip", {"sequenceFiles/a.pkl": b"x"} | litter), tmp_path / "target")
    refused(tmp_path, tmp_path / "a.zip", "target already has imageFiles")
    assert (tmp_path / "target" / "imageFiles" / "walk" / "image_00000.jpg").read_bytes() == b"jpeg"


@pytest.mark.parametrize("writer", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize("name", ["../out", "a/../../out", "/tmp/out", "..\\out", "C:/out", "a/.."])
def test_row_37_names_that_lead_out_are_refused(name, writer, tmp_path):
    path = WRITERS[writer](tmp_path / writer, {**GOOD, name: b"x"})
    refused(tmp_path, path, "leads out of the folder, expected a path inside it")


def test_row_37_links_and_devices_are_refused(tmp_path):
    refused(tmp_path, zipped(tmp_path / "a.zip", GOOD, {"link": "/etc"}), "'link' is a link or a device")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        path = tarred(tmp_path / "a.tar", GOOD, {"link": "/etc/passwd"}, kind)
        refused(tmp_path, path, "'link' is a link or a device")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
def test_row_37_a_bomb_is_refused(name, tmp_path):
    path = WRITERS[name](tmp_path / name, {"zeros": bytes(2**25)})
    assert path.stat().st_size < 2**16
    refused(tmp_path, path, "bytes that unpack to more than 16777216")


def test_row_37_a_bomb_in_a_tars_headers_is_refused(tmp_path):
    entry = tarfile.TarInfo("a")
    entry.pax_headers = {"comment": "0" * 2**25}
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as opened:
        opened.addfile(entry)
    refused(tmp_path, tmp_path / "a.tar.gz", "bytes that unpack to more than")


@pytest.mark.parametrize("name", WRITERS)
def test_a_damaged_archive_is_refused(name, tmp_path):
    path = WRITERS[name](tmp_path / name, {"a": bytes(range(256)) * 300})
    whole = path.read_bytes()
    for data in (b"", b"<html>", whole[: len(whole) // 2]):
        path.write_bytes(data)
        refused(tmp_path, path, "cannot be unpacked")


def test_no_archive_says_so(tmp_path):
    refused(tmp_path, tmp_path / "none.zip", "no such archive")
    with pytest.raises(DataError, match="none: no such folder, expected the one that target is to be in"):
        archive.unpack(zipped(tmp_path / "a.zip", GOOD), tmp_path / "none" / "target")
