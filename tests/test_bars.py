"""Bars of letterboxed pictures: they count in no maximum, mean or loss, and no point lies in them."""

import numpy as np
import pytest
import torch
from PIL import Image

import kp_helpers as kit
from kp_helpers import embeddings, evaluate, keypoints, losses, predict, reading, stages
from kp_helpers.config import AppendedStage, BaseStage, Protocol, Reading, TestTime
from kp_helpers.data import ImageFolder
from kp_helpers.geometry import frame_square
from kp_helpers.heatmaps import inside_mask
from kp_helpers.stages import linear

WIDE = torch.tensor([0.0, 0.25, 1.0, 0.75])
READING = Reading(map_size=16, timestep=20)
WHOLE = Protocol(framing="letterbox", jitter=0.0)


@pytest.fixture
def wide(tmp_path):
    """Four pictures of 96 x 32 pixels."""
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 255, (32, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


@pytest.fixture
def maps():
    """Maps (2, 5, 16, 16) of a plain and a transformed view, largest in the bars."""
    found = torch.rand(2, 5, 16, 16, generator=torch.Generator().manual_seed(0)) / 2
    found[..., :2, :] += 0.5
    return found


def test_the_part_of_a_square_that_shows_its_frame():
    assert frame_square((850, 425), "letterbox").inside((850, 425)).tolist() == WIDE.tolist()
    assert frame_square((30, 40), "squash").inside((30, 40)).tolist() == [0, 0, 1, 1]
    corner = frame_square((100, 100), "person", (80, 40, 120, 80), 0.0)
    assert corner.inside((100, 100)).tolist() == [0, 0, 0.5, 1]


def test_a_panorama_keeps_a_row():
    mask = inside_mask(frame_square((2000, 20), "letterbox").inside((2000, 20)), 16)
    assert mask.any(dim=1).nonzero().flatten().tolist() == [8] and mask[8].all()


def test_maxima_and_averages_are_those_of_the_picture_alone(maps):
    mask, cut = inside_mask(WIDE, 16), maps[..., 4:12, :]
    row, column = np.unravel_index(cut[0, 0].argmax().item(), (8, 16))
    point = keypoints.argmax_keypoints(maps, mask)[0, 0]
    assert point.tolist() == pytest.approx([(column + 0.5) / 16, (row + 4 + 0.5) / 16])
    softly = keypoints.soft_argmax(maps, 0.1, mask)[0, 0]
    weights = np.exp(cut[0, 0].double().numpy() / 0.1)
    at = ((weights.sum(1) / weights.sum()) @ (np.arange(4, 12) + 0.5)) / 16
    assert softly[1].item() == pytest.approx(at, abs=1e-6)
    for window in (0.0, 5.0):
        places = reading.read_keypoints(maps, TestTime(window=window), WIDE)
        assert ((places[..., 1] > 0.25) & (places[..., 1] < 0.75)).all(), window
        nothing = reading.read_keypoints(torch.zeros(16, 16), TestTime(window=window), WIDE)
        assert nothing.tolist() == [0.5 / 16, 4.5 / 16], "of a map without a maximum the first pixel"


def test_losses_are_means_over_the_picture_alone(maps):
    plain, other = maps.double()
    mask, still = inside_mask(WIDE, 16), torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    a, b = plain[:, 4:12].numpy(), other[:, 4:12].numpy()
    assert losses.target_loss(plain, other, mask).item() == pytest.approx(((a - b) ** 2).mean())
    moved = losses.equivariance_loss(plain, other, still, mask).item()
    assert moved == pytest.approx(((a - b) ** 2).mean(), rel=1e-6)
    p, t = a / a.sum((1, 2), keepdims=True), b / b.sum((1, 2), keepdims=True)
    entropy = losses.cross_entropy_loss(plain, other, mask).item()
    assert entropy == pytest.approx(-(t * np.log(p)).sum((1, 2)).mean())


def test_what_the_maps_are_in_the_bars_changes_no_stage(tiny_sd, maps):
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    points, still = torch.tensor([[0.3, 0.4], [0.6, 0.6]]), torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    parts = WIDE.expand(2, 4)
    free = BaseStage(reading=READING, tokens=5, candidates=4, keypoints=2)
    base = torch.randn(5, tiny_sd.context_width, generator=torch.Generator().manual_seed(2))
    other = maps.clone()
    other[..., ~inside_mask(WIDE, 16)] = 0.3
    several = [stages.BaseTokens(tiny_sd, images, free, inside=parts)]
    for objective in ("mse", "cross_entropy", "oks"):
        own = AppendedStage(reading=READING, objective=objective)
        several.append(stages.AppendedTokens(tiny_sd, base, images, points, own, inside=parts))
    for stage in several:
        terms, expected = (stage.losses(one, still, 0) for one in (other, maps))
        assert {n: t.item() for n, t in terms.items()} == pytest.approx(
            {n: t.item() for n, t in expected.items()}, rel=1e-5
        )
        bare = type(stage)(tiny_sd, *list(stage.data.values())[:-1], stage.settings)
        assert bare.losses(maps, still, 0)["localization"] != expected["localization"]


def test_a_fit_knows_nothing_of_the_bars():
    generator = torch.Generator().manual_seed(0)
    features, target = torch.randn(1, 6, 16, 16, generator=generator), torch.rand(1, 16, 16)
    mask, other = inside_mask(WIDE, 16), features.clone()
    other[..., ~mask] = 9.0
    first, second = (linear.fit(linear.moments(one, target, mask), 1.0) for one in (features, other))
    assert torch.equal(first.weights, second.weights) and linear.moments(features, target, mask).pixels == 128


def test_every_point_lies_in_its_picture(tiny_sd, wide, tmp_path):
    """With random weights maxima fall anywhere, in the bars too: of 32 tokens and 4 pictures, many."""
    shots = kit.pictures(wide)
    generator = torch.Generator().manual_seed(3)
    base = 3 * torch.randn(32, tiny_sd.context_width, generator=generator)
    tensors = {"base": base, "selected_tokens": torch.arange(32)}
    file = embeddings.save(
        tmp_path / "base.safetensors", tensors, stages.metadata(tiny_sd, BaseStage(reading=READING))
    )
    found = kit.find(file, shots, tiny_sd).table
    samples = ImageFolder(wide)
    predicted = [one.points for one in predict.predict(tiny_sd, file, samples, 1, WHOLE)]
    points = np.array([*found[["x", "y"]].to_numpy(), *(p for own in predicted for p in own.values())])
    assert ((points > 0) & (points < (96, 32))).all() and len(points) == 2 * 4 * 32
    framed = shots.framed(tiny_sd.image_size)
    free = torch.cat([predict.opened(tiny_sd, file).maps(image[None]) for image in framed.images])
    anywhere = 96 * reading.read_keypoints(free, TestTime())[:, 1] - 32
    assert ((anywhere < 0) | (anywhere > 32)).sum() > 4, "without the bars' mask some lie outside"


def test_evaluation_and_teaching_know_the_bars_of_a_letterbox_alone(tiny_sd, wide):
    shots = kit.pictures(wide)
    assert shots.framed(64).inside.tolist() == pytest.approx(np.tile([0, 1 / 3, 1, 2 / 3], (4, 1)))
    assert evaluate.framed(shots.samples, 64, WHOLE.replace(framing="squash")).inside is None
    foot = kit.teach(tiny_sd, shots, "foot", [(9, 9), (20, 20), (50, 8), (70, 22)])
    places = foot.find(shots).table[["x", "y"]].to_numpy()
    assert ((places > 0) & (places < (96, 32))).all()
