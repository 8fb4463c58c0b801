"""What a cluster is asked for, against the sizes of models and the table of profiles/README.md."""

import torch
from helpers import tiny_sweep
from safetensors.torch import save_file

from kp_helpers import diffusion
from kp_helpers.notebook.sweeps import needs, plan


def test_numbers_are_those_of_the_networks(tiny_sd, tiny_sd_folder, tmp_path):
    networks = (tiny_sd.unet, tiny_sd.vae, tiny_sd.text_encoder)
    expected = sum(p.numel() for network in networks for p in network.parameters())
    assert needs.numbers(str(tiny_sd_folder)) == expected
    shipped = diffusion.load("figures")
    networks = (shipped.unet, shipped.vae, shipped.text_encoder)
    assert round(sum(p.numel() for network in networks for p in network.parameters()) / 1e6, 1) == 6.4
    save_file({"a": torch.zeros(3, 4).half(), "b": torch.zeros(5)}, tmp_path / "one.safetensors")
    assert needs.numbers(str(tmp_path / "one.safetensors")) == 17
    (tmp_path / "one.ckpt").write_bytes(bytes(34))
    assert needs.numbers(str(tmp_path / "one.ckpt")) == 17
    assert needs.numbers("someone/on-the-hub") == needs.PUBLISHED


def test_minutes_follow_the_measured_table(tmp_path, tiny_sd):
    """A job of 8 runs, five pictures a step: 34.2 h coupled and 1.30 h in read-out mode at most."""
    stage = {"steps": 100, "images_per_step": 5}
    settings = {mode: {"appended": {**stage, "mode": mode}} for mode in ("coupled", "readout")}
    changes = {"profile": "paper", "common": {}, "settings": settings, "seeds": [0], "joints": ["head"]}
    hours = {}
    for model, device in (("someone/sd", "cpu"), ("figures", "cpu"), ("someone/sd", "cuda")):
        file = tiny_sweep.make(tmp_path, tiny_sd, "", **changes, device=device)
        file.write_text(file.read_text().replace(f"model: {tiny_sd.name}", f"model: {model}"))
        jobs = plan.read(file)
        hours |= {(model, device, job.setting): (needs.minutes(job) - 15) / 60 / 2 for job in jobs}
    assert round(hours["someone/sd", "cpu", "coupled"], 1) == 34.2
    assert round(hours["someone/sd", "cpu", "readout"], 1) == 1.3
    assert round(hours["figures", "cpu", "coupled"], 1) == 2.8
    assert hours["someone/sd", "cuda", "coupled"] < 3.5
    assert needs.gpus("cuda:1") == 1 and needs.gpus("cpu") == needs.gpus("auto") == 0


def test_memory_holds_a_step_of_the_published_model():
    assert needs.memory("figures") == 4039
    assert needs.memory("someone/sd") == 10_000, "where a step took 6.6 GB"
