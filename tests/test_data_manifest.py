"""The manifest of a data folder, by hashlib, and what `verify` finds different."""

import hashlib
import json

import pytest

from kp_helpers.data import DataError, manifest
from kp_helpers.data.__main__ import main


@pytest.fixture
def folder(tmp_path):
    for name in ("b.txt", "a/c.bin", "a/.hidden"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "data"


def test_every_file_has_its_hash_and_none_is_different(folder, capsys):
    assert main(["manifest", str(folder)]) == 0
    assert "manifest.json: 3 files" in capsys.readouterr().out
    written = json.loads((folder / "manifest.json").read_text())
    names = ("a/.hidden", "a/c.bin", "b.txt")
    assert written == {"sha256": {name: hashlib.sha256(name.encode()).hexdigest() for name in names}}
    assert main(["verify", str(folder)]) == 0
    assert "as its manifest says" in capsys.readouterr().out


def test_missing_changed_and_extra_files_are_listed_and_the_manifest_is_kept(folder, capsys):
    manifest.write(folder)
    before = (folder / "manifest.json").read_bytes()
    (folder / "a" / "c.bin").unlink()
    (folder / "b.txt").write_text("B.txt")
    (folder / "new").write_text("")
    assert main(["verify", str(folder)]) == 1
    assert capsys.readouterr().out.splitlines()[:3] == ["missing: a/c.bin", "changed: b.txt", "extra: new"]
    assert main(["manifest", str(folder)]) == 1
    assert "manifest.json: exists" in capsys.readouterr().err
    assert (folder / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "[1]", '{"sha256": [1]}', "[" * 100_000])
def test_a_damaged_manifest_is_named(content, folder):
    (folder / "manifest.json").write_text(content)
    with pytest.raises(DataError, match="manifest.json: holds no table sha256"):
        manifest.verify(folder)


def test_no_manifest_and_no_folder_say_so(folder):
    with pytest.raises(DataError, match="no such file; `python -m kp_helpers.data manifest .*data` makes it"):
        manifest.verify(folder)
    with pytest.raises(DataError, match="none: no such folder"):
        manifest.write(folder / "none")
