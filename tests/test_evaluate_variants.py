"""Variants, designs and sweeps: each is what it would be alone, on draws that are the same for all; the
references beside them, and the tables of an ablation.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from kp_helpers import config, evaluate, reading
from kp_helpers.data import DataError
from kp_helpers.evaluate import Variant
from kp_helpers.heatmaps import gaussian_target


def scores(**hits) -> pd.DataFrame:
    """method -> hits (runs, images), 0 or 1; both kinds of hits are the same and a miss is 0.1 off."""
    rows = [
        {"joint": "left_foot", "method": method, "run": run, "image": f"{image}", "sequence": f"{image}"}
        | {"in_direction": hit, "within": hit, "auc": hit, "error": 0.1 * (1 - hit)}
        for method, table in hits.items()
        for run, own in enumerate(table)
        for image, hit in enumerate(own)
    ]
    return pd.DataFrame(rows).assign(mirror=np.nan, other_side=np.nan)


NONE, ALL = np.zeros((3, 6)), np.ones((3, 6))
MOST = ALL.copy()
MOST[0, 0] = 0


def test_variants_are_compared_with_the_default_by_hand():
    rows = evaluate.against(scores(default=NONE, better=MOST), "default")
    hits = rows[rows["measure"] == "in a meaningful direction"].iloc[0]
    assert (hits["variant"], hits["against"]) == ("better", "default")
    assert hits["difference"] == pytest.approx(100 * 17 / 18)
    assert (hits["runs"], hits["n"]) == (3, 18) and 0 < hits["p"] < 0.01
    assert rows[rows["measure"] == "mean error"].iloc[0]["difference"] == pytest.approx(-100 * 0.1 * 17 / 18)
    assert evaluate.against(scores(default=NONE), "default").empty


def test_the_table_has_a_row_a_variant():
    table = evaluate.variants_table(scores(default=NONE, better=MOST), "default")
    assert list(table.index) == ["default", "better"] and table.loc["default", "minus default"] == ""
    assert table.loc["better", "within 1/48 of the frame"].startswith("94.4 ± 9.6 [")
    assert (
        table.loc["better", "minus default"].startswith("+94.4 [")
        and "p < .01" in table.loc["better"].iloc[-1]
    )


def test_the_paper_is_quoted_for_the_variants_named_alone():
    settings = config.profile("quick")
    given = scores(default=NONE, twenty=MOST).assign(mirror=0.0)
    found = {
        m.method: m
        for m in evaluate.measured_variants(given, settings, {"default": 5, "twenty": 20})
        if m.measure == "within 1/48 of the frame"
    }
    assert {name: m.paper for name, m in found.items()} == {
        "appended, readout mode, default": 17.5,
        "appended, readout mode, twenty": 14.0,
    }
    alone = evaluate.measured_variants(given, settings, {"default": 5})
    assert {m.paper for m in alone if "twenty" in m.method} == {None}


def test_hits_over_a_setting_are_in_its_order():
    rows = evaluate.over(scores(b=NONE, a=MOST), {"a": ("line", 1), "b": ("line", 2)}, "steps")
    assert rows["method"].tolist() == 3 * ["a"] + 3 * ["b"] and rows["steps"].tolist() == 3 * [1] + 3 * [2]
    assert set(rows["panel"]) == {one.name for one in evaluate.SHOWN.values()}


PROTOCOL = config.Protocol(test_images=2, framing="squash")
JOINTS = ("left_foot", "head")


def test_a_text_names_designs():
    five, twenty = evaluate.designs("5x8, 20x10:head", PROTOCOL, JOINTS)
    assert five.protocol == PROTOCOL.replace(train_images=5, runs=8) and five.joints == JOINTS
    assert twenty.protocol == PROTOCOL.replace(train_images=20, runs=10) and twenty.joints == ("head",)
    assert (five.named("m"), twenty.named("m")) == ("m", "m, training images 20")
    assert evaluate.designs("5x8:head+left_foot", PROTOCOL, JOINTS)[0].joints == ("head", "left_foot")


def test_results_carry_the_designs_name():
    @dataclass(frozen=True)
    class Result:
        method: str

    five, twenty = evaluate.designs("5x8,20x10", PROTOCOL, JOINTS)
    assert five.renamed([Result("m")]) == [Result("m")]
    assert twenty.renamed([Result("m")]) == [Result("m, training images 20")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no design, expected images x runs, such as '5x8'"),
        ("5", "'5' is no design"),
        ("5x0", "'5x0' is no design"),
        ("5x8,", "'' is no design"),
        ("5x8:elbow", "'5x8:elbow' names 'elbow', expected one of left_foot, head"),
        ("5x8,5x10", "'5x10' has 5 images like one before"),
    ],
)
def test_a_text_that_names_none_is_refused(text, message):
    with pytest.raises(config.ConfigError, match=f"designs: {message}"):
        evaluate.designs(text, PROTOCOL, JOINTS)


def test_runs_share_their_pictures(tiny_threedpw):
    sets = [evaluate.data_set(tiny_threedpw, split, ("head",)) for split in ("train", "test")]
    drawn = [
        evaluate.draw_run(*sets, "head", 1, design.protocol)
        for design in evaluate.designs("1x2,3x2", PROTOCOL, ("head",))
    ]
    (few, test), (many, same) = drawn
    assert [one.name for one in test] == [one.name for one in same]
    assert [one.name for one in few] == [one.name for one in many[:1]] and len(many) == 3


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
