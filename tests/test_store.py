"""Files that are written whole, and locks; full disks and second runs are in test_faults_runtime.py."""

import errno
import os
import stat

import pytest
import torch

from kp_helpers import store
from kp_helpers.store import DamagedError, held, replace_file


def test_a_file_is_synced_moved_and_its_folder_synced(tmp_path, monkeypatch):
    """In this order: a move that reaches the disk before the content would leave an empty file."""
    seen = []
    monkeypatch.setattr(store.os, "fsync", lambda handle: seen.append(os.readlink(f"/proc/self/fd/{handle}")))
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

    monkeypatch.setattr(store.os, "fsync", fsync)
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


def test_a_lock_that_a_killed_process_left_is_taken_over_and_told(tmp_path):
    (tmp_path / "lock").touch()
    (tmp_path / "lock.holder").write_text("process 1 on elsewhere since 2020-01-01 00:00:00")
    told = pytest.warns(UserWarning, match="lock: taken over; its holder, process 1 on elsewhere")
    with told, held(tmp_path / "lock"):
        assert (tmp_path / "lock.holder").read_text().startswith(f"process {os.getpid()} on ")
    assert not list(tmp_path.iterdir())


def test_tensors_and_facts_are_read_back_and_equal_content_makes_equal_bytes(tmp_path):
    tensors, facts = {"b": torch.eye(2), "a": torch.tensor(3)}, {"x": [1, None], "name": "é"}
    path = store.save(tmp_path / "a.safetensors", tensors, facts)
    again = store.save(tmp_path / "b.safetensors", dict(reversed(tensors.items())), facts)
    assert path.read_bytes() == again.read_bytes()
    found, told = store.load(path)
    assert told == facts and all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("where", ["name", "tensor"])
def test_a_change_of_any_byte_is_damage(tmp_path, where):
    path = store.save(tmp_path / "a.safetensors", {"a": torch.ones(3)}, {"name": "left"})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"left", b"lefp") if where == "name" else data[:-1] + b"\x01")
    with pytest.raises(DamagedError, match="its content is not what was written"):
        store.load(path)


def test_a_disk_without_locks_or_modes_is_told_and_used(tmp_path, monkeypatch):
    class NoLocks(store.FileLock):
        def acquire(self, *given, **more):
            raise NotImplementedError("FileSystem does not appear to support flock; use SoftFileLock instead")

    monkeypatch.setattr(store, "FileLock", NoLocks)
    told = pytest.warns(UserWarning, match="lock: this disk has no locks, so nothing keeps two runs apart")
    with told, held(tmp_path / "lock"):
        pass

    def refused(self, mode):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.chmod", refused)
    path = replace_file(tmp_path / "a.json", lambda partial: partial.write_text("1"))
    assert path.read_text() == "1"
