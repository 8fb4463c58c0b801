"""Files that are written whole, and locks; full disks and second runs are in test_faults_runtime.py."""

import errno
import os
import stat

import pytest

from kp_helpers import files
from kp_helpers.files import held, replace_file


def test_a_file_is_synced_moved_and_its_folder_synced(tmp_path, monkeypatch):
    """In this order: a move that reaches the disk before the content would leave an empty file."""
    seen = []
    monkeypatch.setattr(files.os, "fsync", lambda handle: seen.append(os.readlink(f"/proc/self/fd/{handle}")))
    path = replace_file(tmp_path / "new" / "a.json", lambda partial: partial.write_text("1"))
    assert path.read_text() == "1" and stat.S_IMODE(path.stat().st_mode) == 0o644
    content, folder = seen
    assert content.startswith(f"{tmp_path}/new/.a.") and folder == f"{tmp_path}/new"


def test_a_file_system_without_syncing_of_folders_will_do(tmp_path, monkeypatch):
    sync = os.fsync

    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(files.os, "fsync", fsync)
    assert replace_file(tmp_path / "a.json", lambda partial: partial.write_text("1")).read_text() == "1"


def test_an_error_of_the_writer_passes_and_leaves_nothing(tmp_path):
    def write(partial):
        partial.write_text("half")
        raise OSError("cannot write mode F as PNG")

    with pytest.raises(OSError, match="^cannot write mode F as PNG$"):
        replace_file(tmp_path / "a.png", write)
    assert not list(tmp_path.iterdir())


def test_a_lock_is_free_again_behind_its_holder(tmp_path):
    lock = tmp_path / "new" / "lock"
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), held(lock):
            assert lock.exists()
            _ = 1 / 0
        assert not lock.exists()


def test_a_lock_that_its_holder_just_removed_is_made_anew(tmp_path, monkeypatch):
    """Between the opening and the locking of the file, its holder ended: the lock would be on no file."""
    lock, at = tmp_path / "lock", files._is_at
    answers = iter([False])
    monkeypatch.setattr(files, "_is_at", lambda file, path: next(answers, None) is None and at(file, path))
    with held(lock):
        assert lock.read_text().startswith(f"process {os.getpid()} on ")
