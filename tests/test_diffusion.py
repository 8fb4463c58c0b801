import hashlib
import json
import shutil
import socket

import httpx
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

from kp_helpers import diffusion
from kp_helpers.diffusion import ModelError, loading, model_folder
from kp_helpers.editing.instructed import in_precision

UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A test that opens a connection fails."""

    def refuse(self, address):
        raise AssertionError(f"the network was asked for {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def folder(tiny_sd_folder, tmp_path):
    """A copy of the tiny model that a test may spoil."""
    return shutil.copytree(tiny_sd_folder, tmp_path / "model")


def _refused(model, *words):
    with pytest.raises(ModelError) as caught:
        diffusion.load(model)
    sentence = str(caught.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence, sentence


def test_a_good_folder_loads_frozen(tiny_sd, tiny_sd_folder):
    assert (tiny_sd.image_size, tiny_sd.context_width, tiny_sd.default_timestep) == (128, 32, 0)
    assert tiny_sd.fingerprint == hashlib.sha256((tiny_sd_folder / UNET).read_bytes()).hexdigest()
    assert tiny_sd.revision is None and tiny_sd.name == str(tiny_sd_folder)
    for part in (tiny_sd.unet, tiny_sd.vae, tiny_sd.text_encoder):
        assert not part.training and not any(p.requires_grad for p in part.parameters())
    stored = load_file(tiny_sd_folder / UNET)
    assert all(torch.equal(value, stored[name]) for name, value in tiny_sd.unet.state_dict().items())


def test_latents_are_the_scaled_mean(tiny_sd):
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    latents = tiny_sd.encode_image(images)
    moments = tiny_sd.vae.quant_conv(tiny_sd.vae.encoder(2 * images - 1))
    assert latents.shape == (2, 4, 16, 16)
    assert torch.allclose(latents, 0.18215 * moments[:, :4], atol=1e-6)


def test_noise_follows_the_schedule_by_hand(tiny_sd):
    latents, noise = torch.randn(2, 1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    kept = (1 - betas).cumprod(0)[140].item()
    expected = kept**0.5 * latents + (1 - kept) ** 0.5 * noise
    assert torch.allclose(tiny_sd.add_noise(latents, 140, noise=noise), expected, atol=1e-5)
    drawn = [tiny_sd.add_noise(latents, 140, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_captions_become_a_context(tiny_sd):
    context = tiny_sd.encode_text(["a man with red shirt", "dog"])
    assert context.shape == (2, 77, 32) and not torch.equal(context[0], context[1])
    assert tiny_sd.tokenizer.tokenize("red shirt") == ["red</w>", "shirt</w>"]


def test_wrong_inputs_are_named(tiny_sd):
    with pytest.raises(ValueError, match=r"\(1, 3, 100, 128\), expected .* multiples of 8"):
        tiny_sd.encode_image(torch.rand(1, 3, 100, 128))
    with pytest.raises(ValueError, match="0 to 255, expected floating point numbers in"):
        tiny_sd.encode_image(torch.tensor([0.0, 255.0]).repeat(1, 3, 16, 8))
    with pytest.raises(ValueError, match="timestep is 1000, expected 0 to 999"):
        tiny_sd.add_noise(torch.zeros(1, 4, 8, 8), 1000, torch.Generator())
    with pytest.raises(ValueError, match="either `generator` or `noise`"):
        tiny_sd.add_noise(torch.zeros(1, 4, 8, 8), 10)


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./models/mine", "~/no_such_model", "mine", "a/b/c"])
def test_a_missing_folder_is_named_without_the_network(name):
    _refused(name, "no such folder", "expected a diffusers pipeline folder")


def test_a_missing_folder_beside_a_present_one_is_no_hub_id(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    _refused("models/mine", "models/mine: no such folder")


class Hostile:
    def __reduce__(self):
        return print, ("it ran",)


@pytest.mark.parametrize("name", [UNET, TEXT])
def test_a_pickle_is_read_as_numbers_and_what_asks_for_code_is_refused(folder, tiny_sd, name, capfd):
    path, part = folder / name, name.split("/")[0]
    pickle = "diffusion_pytorch_model.bin" if name == UNET else "pytorch_model.bin"
    tensors = load_file(path)
    path.unlink()
    torch.save(tensors, path.with_name(pickle))
    _same(getattr(diffusion.load(folder), part), getattr(tiny_sd, part))
    torch.save({**tensors, "more": Hostile()}, path.with_name(pickle))
    _refused(folder, pickle)
    assert "it ran" not in capfd.readouterr().out
    path.with_name(pickle).rename(path.with_name("weights.ckpt"))
    _refused(folder, name, "found only weights.ckpt, a pickle of another name")


def _same(network, expected) -> None:
    wanted = expected.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in network.state_dict().items())


def _sharded(path, variant: str = "") -> None:
    """The weights of a file as two shards with their index, as diffusers and transformers write them."""
    tensors = load_file(path)
    stem, middle = path.name.partition(".")[0], f".{variant}" if variant else ""
    shards = [f"{stem}{middle}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    place = {key: shards[number % 2] for number, key in enumerate(sorted(tensors))}
    for shard in shards:
        own = {key: tensor for key, tensor in tensors.items() if place[key] == shard}
        save_file(own, path.with_name(shard), metadata={"format": "pt"})
    index = {"metadata": {"total_size": 1}, "weight_map": place}
    path.with_name(f"{stem}.safetensors.index{middle}.json").write_text(json.dumps(index))
    path.unlink()


def test_shards_are_the_whole(folder, tiny_sd):
    for name in (UNET, VAE, TEXT):
        _sharded(folder / name)
    found = diffusion.load(folder)
    for part in ("unet", "vae", "text_encoder"):
        _same(getattr(found, part), getattr(tiny_sd, part))
    assert found.fingerprint == diffusion.load(folder).fingerprint
    next((folder / "unet").glob("*-00002-of-*")).unlink()
    _refused(folder, "-00002-of-00002.safetensors: missing, expected all shards")


@pytest.mark.parametrize("sharded", [False, True])
def test_half_precision_alone_is_taken_and_made_float32(folder, tiny_sd, sharded):
    for name in (UNET, VAE, TEXT):
        path = folder / name
        half = {key: tensor.half() for key, tensor in load_file(path).items()}
        path.unlink()
        whole = path if sharded else path.with_name(path.name.replace(".", ".fp16.", 1))
        save_file(half, whole, metadata={"format": "pt"})
        if sharded:
            _sharded(path, "fp16")
    found = diffusion.load(folder)
    assert found.unet.dtype == found.vae.dtype == found.text_encoder.dtype == torch.float32
    expected = tiny_sd.unet.state_dict()
    for key, value in found.unet.state_dict().items():
        assert torch.equal(value, expected[key].half().float()), key


def test_any_scheduler_gives_its_noise_schedule(folder, tiny_sd):
    path = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text())
    path.write_text(
        json.dumps({**config, "_class_name": "UniPCMultistepScheduler", "disable_corrector": [0]})
    )
    assert torch.equal(diffusion.load(folder).scheduler.alphas_cumprod, tiny_sd.scheduler.alphas_cumprod)


def test_a_dtype_may_be_a_name_and_no_other(folder):
    found = diffusion.load(folder, dtype="bfloat16")
    assert found.unet.dtype == found.text_encoder.dtype == torch.bfloat16
    for wrong in ("float8", "int8", torch.int64):
        with pytest.raises(ModelError, match="dtype is .*, expected float32, bfloat16 or float16"):
            diffusion.load(folder, dtype=wrong)


def test_the_device_is_a_gpu_where_there_is_one(monkeypatch):
    for present, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda present=present: present)
        assert loading._available("auto") == expected


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3438167540\n"
SCHEDULER = "scheduler/scheduler_config.json"


def _without(name):
    return lambda folder: (folder / name).unlink()


def _with(name, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def _cut_off(folder):
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:-100])


def _set(name, **changes):
    """A JSON file with other values; None removes the key."""

    def edit(folder):
        content = json.loads((folder / name).read_text()) | changes
        (folder / name).write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    return edit


def _spoilt(name, change):
    """Weights of which one tensor, the first with two axes, is another, or none."""

    def edit(folder):
        tensors = load_file(folder / name)
        key = next(key for key, value in tensors.items() if value.ndim == 2)
        changed = change(tensors.pop(key))
        save_file(tensors if changed is None else {**tensors, key: changed}, folder / name, {"format": "pt"})

    return edit


def _nine_channels(folder):
    _set("unet/config.json", in_channels=9)(folder)
    weights = load_file(folder / UNET) | {"conv_in.weight": torch.zeros(16, 9, 3, 3)}
    save_file(weights, folder / UNET, metadata={"format": "pt"})


WRONG = {
    "row 2": (_without("model_index.json"), "model_index.json: missing"),
    "no weights": (_without(UNET), f"{UNET}: missing, found no weights"),
    "row 3": (_cut_off, f"{UNET}: truncated or no safetensors file"),
    "row 8": (
        _set("unet/config.json", layers_per_blok=2),
        "'layers_per_blok'; the nearest known one is",
    ),
    "row 8, VAE": (
        _set("vae/config.json", scaling_facto=2),
        "unknown setting 'scaling_facto'",
    ),
    "row 9": (_with("model_index.json", b"{"), "model_index.json: malformed JSON"),
    "row 9, a list": (_with("unet/config.json", b"[]"), "unet/config.json: holds a list"),
    "row 9, deep": (
        _with("tokenizer/tokenizer_config.json", b"[" * 100_000),
        "tokenizer_config.json: malformed JSON",
    ),
    "row 10": (
        _with("unet/my_unet.py", b"raise SystemExit('ran')"),
        "unet/my_unet.py: the model folder brings code",
    ),
    "row 10, map": (
        _set("unet/config.json", auto_map={"A": "b.C"}),
        "unet/config.json: 'auto_map' asks for code",
    ),
    "row 10, trust": (
        _set("tokenizer/tokenizer_config.json", trust_remote_code=True),
        "'trust_remote_code' asks",
    ),
    "row 10, kind": (
        _set("model_index.json", unet=["my_unet", "UNet2DConditionModel"]),
        "unet is ['my_unet', 'UNet2DConditionModel'], expected ['diffusers', 'UNet2DConditionModel']",
    ),
    "row 72": (_with(UNET, POINTER), f"{UNET}: is a Git LFS pointer, expected weights; `git lfs pull`"),
    "row 74": (
        _set(SCHEDULER, beta_start=None, beta_strat=1),
        f"{SCHEDULER}: has no 'beta_start', expected it; the nearest setting is 'beta_strat'",
    ),
    "row 75": (_nine_channels, "unet/config.json: in_channels is 9, expected 4; inpainting"),
}
for _name in (UNET, VAE, TEXT):
    WRONG |= {
        f"row 5, {_name}": (_spoilt(_name, lambda tensor: None), "is missing, expected all of"),
        f"row 6, {_name}": (_spoilt(_name, lambda tensor: tensor[:, 1:].contiguous()), "by config.json"),
        f"row 7, {_name}": (_spoilt(_name, lambda tensor: tensor * torch.nan), "holds NaN or infinite"),
    }


@pytest.mark.parametrize(("spoil", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_folder_is_refused_by_name(spoil, sentence, folder):
    spoil(folder)
    _refused(folder, sentence)


def test_offline_and_not_cached_says_how_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    _refused(
        "someone/some-model@abc", "hf download someone/some-model --revision abc --include", "HF_HUB_OFFLINE"
    )


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        (errors.GatedRepoError, 403, "is gated (GatedRepoError): accept its licence"),
        (errors.RevisionNotFoundError, 404, "has no revision 'main'"),
        (errors.RepositoryNotFoundError, 404, "is no repository that the hub shows you"),
        (errors.HfHubHTTPError, 429, "the hub asks to wait"),
    ],
)
def test_what_the_hub_refuses_is_said_by_name(kind, status, said, monkeypatch):
    def fetch(repo, revision, allow_patterns):
        raise kind("no", response=httpx.Response(status, request=httpx.Request("GET", "https://hub")))

    monkeypatch.setattr(model_folder, "snapshot_download", fetch)
    _refused("someone/tiny@main", f"someone/tiny: {said}")


def test_a_hub_id_is_recorded_with_the_commit(folder, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--someone--tiny" / "snapshots" / commit
    shutil.copytree(folder, snapshot)
    asked = []

    def fetch(repo, revision, allow_patterns):
        asked.append((repo, revision))
        return str(snapshot)

    monkeypatch.setattr(model_folder, "snapshot_download", fetch)
    loaded = diffusion.load("someone/tiny")
    assert (loaded.name, loaded.revision, asked) == ("someone/tiny", commit, [("someone/tiny", None)])
    assert UNET in model_folder.FETCHED and not any(
        name.endswith((".bin", ".py")) for name in model_folder.FETCHED
    )


def test_the_default_timestep_comes_from_the_folder_and_is_checked(folder):
    for timestep in (1000, -1, "10", True):
        (folder / "keypoint_kit.json").write_text(json.dumps({"timestep": timestep}))
        with pytest.raises(ModelError, match=r"timestep is .*, expected an integer from 0 to 999"):
            model_folder.default_timestep(folder, 1000)
    (folder / "keypoint_kit.json").write_text(json.dumps({"timestep": 140}))
    assert diffusion.load(folder).default_timestep == 140


def test_without_the_gpu_it_says_so_and_keeps_the_precision(tiny_sd_folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="'cuda:1' is not present on this machine: running on the CPU"):
        loaded = diffusion.load(tiny_sd_folder, device="cuda:1")
    assert loaded.device.type == "cpu" and loaded.unet.dtype == torch.float32
    with pytest.raises(ModelError, match="device is 'gpu', expected auto, cpu, cuda"):
        diffusion.load(tiny_sd_folder, device="gpu")


def test_half_precision_that_a_cpu_emulates_is_told_and_not_taken_unasked(tiny_sd_folder, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    with pytest.warns(UserWarning, match="bfloat16 saves memory on this CPU, but is slower than float32"):
        loaded = diffusion.load(tiny_sd_folder, device="cpu", dtype="bfloat16")
    with in_precision(loaded.device):
        assert not torch.is_autocast_enabled("cpu")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    with in_precision(loaded.device):
        assert torch.is_autocast_enabled("cpu")


def test_a_caption_that_is_cut_is_told(tiny_sd):
    longest = tiny_sd.tokenizer.model_max_length
    with pytest.warns(UserWarning, match=f"tokens, cut after {longest}, all that the model reads"):
        long = tiny_sd.encode_text(["dog " * longest])
    assert long.shape[1] == longest
