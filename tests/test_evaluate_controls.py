"""The controls against readings of their own, features that were planted, and pictures that are known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kp_helpers import config, evaluate, reading
from kp_helpers.attention import Query, queries
from kp_helpers.embeddings import initialise
from kp_helpers.evaluate import controls
from kp_helpers.evaluate.protocol import of_run
from kp_helpers.stages import AppendedTokens, Run

SETTINGS = config.profile("smoke")


@pytest.fixture(scope="module")
def shown(tiny_threedpw, tiny_sd):
    """Two labelled and two test pictures."""
    sets = [evaluate.data_set(tiny_threedpw, split, ("head",)) for split in ("train", "test")]
    drawn = evaluate.draw_run(*sets, "head", 0, SETTINGS.protocol)
    return tuple(evaluate.framed(samples, tiny_sd.image_size, SETTINGS.protocol) for samples in drawn)


@pytest.fixture(scope="module")
def base(tiny_sd):
    return torch.randn(6, tiny_sd.context_width, generator=torch.Generator().manual_seed(0))


def settings(mode: str = "coupled", **test) -> config.Profile:
    appended = SETTINGS.appended.replace(mode=mode, ratio=0.5)
    return SETTINGS.replace(appended=appended, test=SETTINGS.test.replace(**test))


def noise_queries(*shapes) -> list[Query]:
    generator = torch.Generator().manual_seed(1)
    return [
        Query(f"layer {n}", torch.randn(2, *shape, generator=generator)) for n, shape in enumerate(shapes)
    ]


def test_the_similarity_is_torchs_of_the_joined_features():
    asked, feature = noise_queries((2, 3, 4, 4), (1, 5, 8, 8)), torch.arange(1.0, 12.0)
    layers = []
    for query in asked:
        channels = torch.cat([query.values[:, head] for head in range(query.values.shape[1])], dim=1)
        fine = F.interpolate(channels, size=16, mode="bicubic")
        layers.append(fine / fine.square().sum(dim=1, keepdim=True).sqrt())
    expected = F.cosine_similarity(torch.cat(layers, dim=1), feature[None, :, None, None], dim=1)
    found = controls.similarity(asked, feature, 16)
    assert torch.allclose(2 * found - 1, expected, atol=1e-5) and found.shape == (2, 16, 16)


def test_a_planted_feature_is_found():
    """All pixels ask for the first channel, but one that asks for the second, in a layer of its own size."""
    values = torch.tensor([3.0, 0.0])[None, None, :, None, None].repeat(1, 1, 1, 8, 8)
    values[0, 0, :, 2, 5] = torch.tensor([0.0, 0.01])
    found = controls.similarity([Query("layer", values)], torch.tensor([0.0, 7.0]), 8)[0]
    assert found[2, 5] == 1 and found.sum() == 1 + 63 * 0.5, "whatever the length of a query"


def test_a_labelled_picture_is_found_at_its_label(shown, base, tiny_sd):
    train, _ = shown
    alone = evaluate.Framed(train.samples[:1], train.squares[:1], train.images[:1])
    found = evaluate.compare(tiny_sd, reading.Appended(base, base[:2]), alone, alone, "head", settings())
    (point,) = [one.point for one in found if one.method == evaluate.NEAREST]
    off = alone.squares[0].to_square(point) - alone.points("head")[0]
    assert off.abs().max() < 1.1 / 64, "a pixel of the map"


def test_the_labels_give_the_nearest_token_and_the_mean_feature(shown, base, tiny_sd):
    train, _ = shown
    coarse = SETTINGS.test.replace(read_size=64)
    found = controls.from_labels(tiny_sd, base, train, "head", SETTINGS.test)
    maps = reading.read_maps(tiny_sd, base, train.images, coarse, range(len(base)))
    distance = (reading.read_keypoints(maps, coarse) - train.points("head")[:, None]).norm(dim=-1).sum(dim=0)
    assert found.token == int(distance.argmin())
    vectors = []
    for number, (x, y) in enumerate(train.points("head")):
        latents = reading.noised_views(tiny_sd, train.images[number][None], [(number, 0)], SETTINGS.test)
        layers = []
        for query in queries(tiny_sd.unet, latents, tiny_sd.default_timestep, base):
            fine = F.interpolate(query.values[0].flatten(0, 1)[None], size=64, mode="bicubic")
            vector = fine[0, :, int(y * 64), int(x * 64)]
            layers.append(vector / vector.norm())
        vectors.append(torch.cat(layers))
    assert torch.allclose(found.feature, sum(vectors) / 2, atol=1e-5) and len(layers) == 4


@pytest.mark.parametrize("readout_", ["sum", "best"])
def test_an_untrained_embedding_is_the_runs_own_start(shown, base, tiny_sd, readout_):
    train, own = shown[0], SETTINGS.appended.replace(ratio=0.5, readout=readout_)
    found = controls.untrained(tiny_sd, base, train, "head", own.replace(init="base"), 3)
    noise = initialise(3, tiny_sd.context_width, of_run(own, 3).seed, purpose="appended")
    assert torch.equal(found.tokens, noise), "noise, wherever the appended tokens start"
    stage = Run(AppendedTokens(tiny_sd, base, train.images, train.points("head"), of_run(own, 3)))
    assert torch.equal(found.tokens, stage.tokens.detach())
    assert found.readout == readout_ and (found.best is not None) == (readout_ == "best")


@pytest.mark.parametrize("mode", ["coupled", "readout"])
@pytest.mark.parametrize("test", [{}, {"views": 2, "window": 3.0}])
def test_a_shared_pass_reads_what_each_method_reads_alone(shown, base, tiny_sd, mode, test):
    (train, held_out), own = shown, settings(mode, **test)
    appended = reading.Appended(base, base[:3] + 1, mode=mode)
    found = evaluate.in_squares(
        evaluate.compare(tiny_sd, appended, train, held_out, "head", own, 1, keypoint=4), held_out
    )
    assert list(found) == [evaluate.appended_name(own.appended), *evaluate.CONTROLS]
    start = controls.untrained(tiny_sd, base, train, "head", own.appended, 1)
    for name, one in ((evaluate.appended_name(own.appended), appended), (evaluate.RANDOM, start)):
        maps = reading.read_appended(tiny_sd, one, held_out.images, own.test)
        assert torch.allclose(found[name].float(), reading.read_keypoints(maps, own.test), atol=1e-4), name
    known = controls.from_labels(tiny_sd, base, train, "head", own.test)

    def like(latents: torch.Tensor, _: bool) -> torch.Tensor:
        asked = reading.queries(tiny_sd, latents, base, own.test.reading)
        return controls.similarity(asked, known.feature, 64)[:, None]

    tokens, free = (
        reading.read_maps(tiny_sd, base, held_out.images, own.test, [token]) for token in (known.token, 4)
    )
    features = reading.over_views(tiny_sd, held_out.images, own.test, like)
    for name, maps in ((evaluate.BASE, tokens), (evaluate.UNSUPERVISED, free), (evaluate.NEAREST, features)):
        points = reading.read_keypoints(maps, own.test)[:, 0]
        assert torch.allclose(found[name].float(), points, atol=1e-4), name


def test_controls_without_another_side_read_no_mirror_image(shown, base, tiny_sd):
    """A fit beside its controls; its own maps are of both pictures, and random tokens stand for its start."""
    (train, held_out), own = shown, settings("readout", mirror=True)
    own = own.replace(appended=own.appended.replace(readout="linear"))
    appended = evaluate.learn(tiny_sd, base, train, "head", own.appended, 0)
    found = evaluate.compare(tiny_sd, appended, train, held_out, "head", own)
    alone = own.replace(test=own.test.replace(mirror=False))
    plain = evaluate.compare(tiny_sd, appended, train, held_out, "head", alone)
    pairs = list(zip(found, plain, strict=True))
    mine = evaluate.appended_name(own.appended)
    assert all(one == other for one, other in pairs if one.method != mine)
    maps = reading.read_appended(tiny_sd, appended, held_out.images, own.test)
    expected = held_out.in_frames(reading.read_keypoints(maps, own.test))
    points = [one.point for one in found if one.method == mine]
    assert torch.allclose(torch.tensor(points), torch.tensor(expected), atol=0.5)


@pytest.mark.parametrize(("mode", "passes"), [("readout", 1), ("coupled", 3)])
def test_methods_with_one_context_share_a_pass(shown, base, tiny_sd, monkeypatch, mode, passes):
    asked, pass_of = [], reading.queries
    monkeypatch.setattr(controls, "queries", lambda *given: asked.append(given) or pass_of(*given))
    evaluate.compare(tiny_sd, reading.Appended(base, base[:3], mode=mode), *shown, "head", settings(mode))
    assert len(asked) == len(shown[0].images) + passes, (
        "one for each labelled picture, then the test pictures"
    )


def test_random_points_lie_anywhere_in_the_square(shown):
    _, test = shown
    found = evaluate.random_points(test, "head", 1, seed=4)
    assert found == evaluate.random_points(test, "head", 1, seed=4)
    assert found != evaluate.random_points(test, "head", 2, seed=4)
    assert {(one.method, one.run) for one in found} == {(evaluate.CHANCE, 1)}
    points = torch.cat(list(evaluate.in_squares(found[:2], test).values()))
    assert points.shape == (2, 2)
    many = torch.cat(
        [
            evaluate.in_squares(found[n : n + 2], test)[evaluate.CHANCE]
            for run in range(40)
            for found in [evaluate.random_points(test, "head", run, seed=0)]
            for n in range(0, len(found), 2)
        ]
    ).numpy()
    assert len(many) == 40 * controls.CHANCE_POINTS * 2 and (many >= 0).all() and (many <= 1).all()
    counts = np.histogram2d(*many.T, bins=4, range=[[0, 1], [0, 1]])[0]
    assert counts.min() > 80 and counts.max() < 175, "125 of 2000 in each sixteenth"
