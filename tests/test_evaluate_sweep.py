"""Sweeps: each variant is what it would be alone, on draws that are the same for all."""

import pytest
import torch

from kp_helpers import config, evaluate, reading
from kp_helpers.evaluate import Variant

SETTINGS = config.profile("smoke")
VARIANTS = [
    Variant("default"),
    Variant("cauchy", {"target": "cauchy", "sigma": 0.1}),
    Variant("one image", protocol={"train_images": 1}),
    Variant("larger, two views", {"ratio": 0.5}, {"views": 2}),
]


@pytest.fixture(scope="module")
def sets(tiny_threedpw):
    return tuple(evaluate.data_set(tiny_threedpw, split, ("head",)) for split in ("train", "test"))


@pytest.fixture(scope="module")
def base(tiny_sd):
    return torch.randn(6, tiny_sd.context_width, generator=torch.Generator().manual_seed(0))


def test_a_variant_changes_what_it_names():
    changed = Variant("v", {"sigma": 0.1}, {"views": 2}, {"framing": "squash"}).settings(SETTINGS)
    assert (changed.appended.sigma, changed.test.views, changed.protocol.framing) == (0.1, 2, "squash")
    assert changed.appended.steps == SETTINGS.appended.steps and changed.base == SETTINGS.base
    noisier = Variant("v", {"sigma": 0.1}, reading={"timestep": 60}).settings(SETTINGS)
    assert noisier.appended.reading == SETTINGS.appended.reading.replace(timestep=60)
    assert noisier.test.reading == SETTINGS.test.reading.replace(timestep=60)
    assert noisier.appended.sigma == 0.1 and noisier.base == SETTINGS.base
    assert Variant("same").settings(SETTINGS) == SETTINGS
    with pytest.raises(config.ConfigError, match="no setting 'sigmo'; the nearest is 'sigma'"):
        Variant("v", {"sigmo": 1.0}).settings(SETTINGS)


@pytest.mark.parametrize("mode", ["coupled", "readout"])
def test_each_variant_is_learned_as_it_would_be_alone(sets, base, tiny_sd, mode):
    settings = SETTINGS.replace(appended=SETTINGS.appended.replace(mode=mode))
    found = evaluate.sweep(tiny_sd, base, sets, "head", settings, VARIANTS, 1)
    assert [one.method for one in found[::2]] == [*(v.name for v in VARIANTS), "mean position"]
    for number, variant in enumerate(VARIANTS):
        own = variant.settings(settings)
        train, test = (
            evaluate.framed(samples, tiny_sd.image_size, own.protocol)
            for samples in evaluate.draw_run(*sets, "head", 1, own.protocol)
        )
        alone = evaluate.learn(tiny_sd, base, train, "head", own.appended, 1)
        maps = reading.read_appended(tiny_sd, alone, test.images, own.test)
        expected = test.in_frames(reading.read_keypoints(maps, own.test))
        points = torch.tensor([one.point for one in found[2 * number : 2 * number + 2]])
        assert torch.allclose(points, torch.tensor(expected), atol=0.5), variant.name


def test_what_is_kept_on_disk_changes_nothing(sets, base, tiny_sd, tmp_path):
    settings = SETTINGS.replace(appended=SETTINGS.appended.replace(mode="readout"))
    given = (tiny_sd, base, sets, "head", settings, VARIANTS[:2], 0)
    whole = evaluate.sweep(*given)
    assert evaluate.sweep(*given, cache=tmp_path) == whole
    assert evaluate.sweep(*given, cache=tmp_path) == whole and list(tmp_path.glob("*.safetensors"))
