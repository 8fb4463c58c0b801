"""Sweeps: each variant is what it would be alone, on draws that are the same for all; and the references
beside them, against fits by hand on the pictures that a sweep is shown.
"""

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from kp_helpers import config, evaluate, reading
from kp_helpers.data import DataError
from kp_helpers.evaluate import Variant
from kp_helpers.heatmaps import gaussian_target

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


def rows(tiny_sd, base, image, number) -> torch.Tensor:
    """Features (pixels, C) of one picture under the noise of its number."""
    latents = reading.noised_views(tiny_sd, image[None], [(number, 0)], SETTINGS.test)
    asked = reading.queries(tiny_sd, latents, base, SETTINGS.test.reading)
    fine = [F.interpolate(one.values[0].flatten(0, 1)[None], size=64, mode="bicubic")[0] for one in asked]
    return torch.cat(fine).flatten(1).T.double()


def test_a_ridge_prediction_is_the_maximum_of_scikit_learns_fit(sets, base, tiny_sd):
    protocol = SETTINGS.protocol.replace(train_images=3)
    train, test = (
        evaluate.framed(samples, tiny_sd.image_size, protocol)
        for samples in evaluate.draw_run(*sets, "head", 1, protocol)
    )
    found = evaluate.references(tiny_sd, base, sets, "head", SETTINGS, [1, 3], 1)
    names = [evaluate.NEAREST, "ridge, 1 label", "ridge, 3 labels"]
    assert [one.method for one in found] == [name for name in names for _ in range(2)]
    shown = evaluate.in_squares(found, test)
    for count in (1, 3):
        seen = torch.cat([rows(tiny_sd, base, train.images[n], n) for n in range(count)])
        target = gaussian_target(train.points("head")[:count], 64, SETTINGS.appended.sigma).flatten()
        scaler = StandardScaler().fit(seen)
        known = Ridge(alpha=64 * 64 / 4).fit(scaler.transform(seen), target)
        for number, image in enumerate(test.images):
            fitted = known.predict(scaler.transform(rows(tiny_sd, base, image, number))).reshape(64, 64)
            x, y = shown[evaluate.ridge_name(count)][number]
            assert fitted[int(y * 64), int(x * 64)] > fitted.max() - 1e-4


def test_the_nearest_neighbour_is_that_of_the_controls(sets, base, tiny_sd):
    drawn = evaluate.draw_run(*sets, "head", 0, SETTINGS.protocol)
    train, test = (evaluate.framed(own, tiny_sd.image_size, SETTINGS.protocol) for own in drawn)
    appended = reading.Appended(base, base[:2], mode="readout")
    settings = SETTINGS.replace(appended=SETTINGS.appended.replace(mode="readout"))
    controls = evaluate.compare(tiny_sd, appended, train, test, "head", settings, 0)
    found = evaluate.references(tiny_sd, base, sets, "head", SETTINGS, [2], 0)
    first, second = (
        [one.point for one in own if one.method == evaluate.NEAREST] for own in (controls, found)
    )
    assert torch.allclose(torch.tensor(first), torch.tensor(second), atol=1e-3)


def test_more_labels_than_there_are_is_an_error(sets, base, tiny_sd):
    with pytest.raises(DataError, match="9 training frames show head in . sequences, expected at least 10"):
        evaluate.references(tiny_sd, base, sets, "head", SETTINGS, [10], 0)
