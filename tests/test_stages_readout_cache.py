"""The kept views of read-out mode: what is written is what is read, and nothing else is ever used."""

import stat

import pytest
import torch
from safetensors.torch import save_file

from kp_helpers.attention import Query
from kp_helpers.stages.readout_cache import ReadoutCache, ReadoutView
from kp_helpers.store import key_of

KEY = key_of(image="a", view=1)


def made(seed: int = 0) -> ReadoutView:
    generator = torch.Generator().manual_seed(seed)
    queries = [Query(f"up.{n}", torch.randn(2, 3, 4, 5, 6, generator=generator)) for n in (10, 9)]
    return ReadoutView(queries, [torch.randn(2, 3, 8, 8, generator=generator) for _ in queries])


def never() -> ReadoutView:
    raise AssertionError("the view was built again")


def same(found: ReadoutView, expected: ReadoutView) -> bool:
    pairs = zip(found.queries, expected.queries, strict=True)
    return all(a.layer == b.layer and torch.equal(a.values, b.values) for a, b in pairs) and all(
        torch.equal(a, b) for a, b in zip(found.rivals, expected.rivals, strict=True)
    )


def test_a_view_is_read_back_bit_for_bit_by_another_process(tmp_path):
    assert same(ReadoutCache(tmp_path / "new").view(KEY, made), made())
    assert same(ReadoutCache(tmp_path / "new").view(KEY, never), made())
    (path,) = (tmp_path / "new").iterdir()
    assert path.name == f"{KEY}.safetensors" and stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("keep", [True, False])
def test_memory_holds_a_view_if_it_shall(keep):
    cache = ReadoutCache()
    cache.view(KEY, made, keep=keep)
    assert same(cache.view(KEY, never if keep else lambda: made(1)), made(0 if keep else 1))


def _truncated(path):
    path.write_bytes(path.read_bytes()[:-50])


def _flipped(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _of_another_key(path):
    ReadoutCache(path.parent).view(key_of(image="b"), lambda: made(1))
    (path.parent / f"{key_of(image='b')}.safetensors").replace(path)


def _foreign(path):
    save_file({"queries up.9": torch.ones(2)}, path)


@pytest.mark.parametrize(
    "spoil", [_truncated, _flipped, _of_another_key, _foreign, lambda p: p.write_text("")]
)
def test_a_damaged_or_foreign_file_is_named_and_built_again(tmp_path, spoil):
    ReadoutCache(tmp_path).view(KEY, made)
    spoil(tmp_path / f"{KEY}.safetensors")
    with pytest.warns(UserWarning, match=f"{KEY}.safetensors: damaged or no file of this cache"):
        assert same(ReadoutCache(tmp_path).view(KEY, made), made())
    assert same(ReadoutCache(tmp_path).view(KEY, never), made()) and len(list(tmp_path.iterdir())) == 1


def test_two_may_build_the_same_view_at_once(tmp_path):
    def built_meanwhile() -> ReadoutView:
        ReadoutCache(tmp_path).view(KEY, made)
        return made()

    assert same(ReadoutCache(tmp_path).view(KEY, built_meanwhile), made())
    assert same(ReadoutCache(tmp_path).view(KEY, never), made())
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_build_leaves_nothing(tmp_path):
    with pytest.raises(AssertionError):
        ReadoutCache(tmp_path).view(KEY, never)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(ValueError, match="cache: .*/cache is a file, expected a folder"):
        ReadoutCache(tmp_path / "cache")


def test_a_key_follows_from_names_and_values_alone():
    assert key_of(a=1, b=[0.5]) == key_of(b=[0.5], a=1) and len(KEY) == 64
    assert len({KEY, key_of(image="a", view=2), key_of(image="b", view=1), key_of(image="a")}) == 4
