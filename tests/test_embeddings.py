"""Embeddings on disk and in memory."""

import errno
import json
import stat

import pytest
import torch
from safetensors.torch import save, save_file

from kp_helpers import embeddings
from kp_helpers.embeddings import Appended, EmbeddingError

METADATA = {
    "space": "unet context",
    "model": "figures",
    "model_hash": "a" * 64,
    "layers": ["up_blocks.1.attentions.0.transformer_blocks.0.attn2"],
    "timestep": 140,
    "settings": {"tokens": 6},
    "seed": 3,
}


@pytest.fixture
def saved(tmp_path):
    return embeddings.save(tmp_path / "e.safetensors", {"context": torch.randn(6, 32)}, METADATA)


def _refused(path, sentence, **options):
    with pytest.raises(EmbeddingError, match=sentence) as caught:
        embeddings.load(path, **options)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_a_start_follows_from_the_seed():
    first, again, other = (embeddings.initialise(400, 32, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (400, 32) and first.std().item() == pytest.approx(1, abs=0.03)
    assert torch.allclose(embeddings.initialise(400, 32, 1, scale=0.1), 0.1 * first)


def test_appended_tokens_stand_behind_the_base():
    base, appended = torch.randn(5, 8), torch.randn(2, 8)
    whole = embeddings.append(base, appended)
    assert torch.equal(whole[:5], base) and torch.equal(whole[5:], appended)
    with pytest.raises(EmbeddingError, match=r"\(5, 8\) and \(2, 7\)"):
        embeddings.append(base, torch.randn(2, 7))


def test_a_saved_embedding_comes_back(tmp_path):
    tensors = {"context": torch.randn(6, 32), "selected_tokens": torch.tensor([4, 1])}
    path = embeddings.save(tmp_path / "e.safetensors", tensors, {**METADATA, "revision": None})
    found, metadata = embeddings.load(path, fingerprint="a" * 64, width=32)
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert metadata == {**METADATA, "revision": None}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_equal_embeddings_are_equal_files(tmp_path):
    """safetensors' own order of the metadata is another one in every process and call."""
    tensors = {"context": torch.ones(6, 32), "selected_tokens": torch.tensor([4, 1])}
    paths = [embeddings.save(tmp_path / f"{n}.safetensors", tensors, METADATA) for n in range(8)]
    assert len({path.read_bytes() for path in paths}) == 1


def test_a_failed_save_leaves_the_file_before(saved, monkeypatch):
    before = saved.read_bytes()

    def full(path, data):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match=f"No space left on device: '{saved}'"):
        embeddings.save(saved, {"context": torch.randn(6, 32)}, METADATA)
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


def test_metadata_must_be_whole(tmp_path):
    part = {key: value for key, value in METADATA.items() if key != "seed"}
    with pytest.raises(EmbeddingError, match="metadata lacks 'seed'"):
        embeddings.save(tmp_path / "e.safetensors", {"context": torch.ones(2, 2)}, part)


def test_another_width_is_refused_and_both_are_named(saved):
    _refused(saved, "width 32, expected the model's 768", width=768)


def test_another_model_is_refused_without_the_flag(saved):
    _refused(
        saved, "learned on 'figures' .hash aaaaaaaaaaaa., expected .* bbbbbbbbbbbb", fingerprint="b" * 64
    )
    tensors, _ = embeddings.load(saved, fingerprint="b" * 64, other_model=True)
    assert tensors["context"].shape == (6, 32)


@pytest.mark.parametrize(
    "tensor, sentence",
    [
        (torch.full((2, 3), float("nan")), "NaN"),
        (torch.zeros(2, 3), "all zero"),
        (torch.ones(2, 3, dtype=torch.int64), "int64, expected floating point"),
        (torch.ones(3), r"shape \(3,\), expected \(N, D\)"),
    ],
)
def test_a_tensor_that_is_no_embedding(tmp_path, tensor, sentence):
    path = tmp_path / "e.safetensors"
    with pytest.raises(EmbeddingError, match=sentence):
        embeddings.save(path, {"context": tensor}, METADATA)
    assert not path.exists()
    save_file({"context": tensor}, path)
    _refused(path, sentence)


def test_truncated(saved):
    saved.write_bytes(saved.read_bytes()[:-10])
    _refused(saved, "truncated")
    saved.write_bytes(b"")
    _refused(saved, "truncated")


def test_a_key_that_occurs_twice(tmp_path):
    content = save({"context": torch.ones(2, 2)}, {"space": json.dumps("x")})
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].decode().rstrip()
    entry = json.dumps(json.loads(header)["context"])
    doubled = (header[:-1] + f',"context":{entry}}}').encode()
    path = tmp_path / "e.safetensors"
    path.write_bytes(len(doubled).to_bytes(8, "little") + doubled + content[8 + length :])
    _refused(path, "truncated or no saved embedding")


def test_a_pickle_is_refused_whatever_its_name(tmp_path):
    path = tmp_path / "e.pt"
    torch.save({"context": torch.ones(2, 2)}, path)
    _refused(path, r"ends in '.pt', expected .safetensors")
    _refused(path.rename(tmp_path / "e.safetensors"), "no saved embedding")


def test_a_missing_file_is_named(tmp_path):
    _refused(tmp_path / "none.safetensors", "no such file")


BASE, TOKENS, RIVALS = torch.zeros(4, 8), torch.ones(2, 8), torch.full((2, 8), 2.0)


def test_tokens_stand_behind_the_base():
    found = Appended(BASE, TOKENS)
    assert torch.equal(found.context, torch.cat([BASE, TOKENS]))
    assert found.tensors() == {"base": BASE, "appended": TOKENS}


def test_in_the_mirror_the_rivals_find_the_joint():
    found = Appended(BASE, TOKENS, "linear", mode="readout", rivals=RIVALS)
    assert found.mirrored.tokens is RIVALS and found.mirrored.rivals is TOKENS
    assert found.tensors() == {"base": BASE, "appended": TOKENS, "rivals": RIVALS}
    with pytest.raises(ValueError, match="mirror is True, expected False: tokens do not know"):
        _ = Appended(BASE, TOKENS).mirrored


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="mode is 'full', expected one of coupled, readout"):
        Appended(BASE, TOKENS, mode="full")
    with pytest.raises(ValueError, match="readout is 'sum' with rivals, expected rivals for 'linear' alone"):
        Appended(BASE, TOKENS, rivals=RIVALS)
    with pytest.raises(ValueError, match="readout is 'linear' with no rivals, expected rivals for 'linear'"):
        Appended(BASE, TOKENS, "linear", mode="readout")
