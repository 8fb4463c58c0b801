from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.ndimage import center_of_mass
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from kp_helpers import keypoints
from kp_helpers.heatmaps import gaussian_target


def _maps(count=8, size=16, seed=0):
    return torch.rand(count, size, size, generator=torch.Generator().manual_seed(seed))


def test_argmax_is_the_centre_of_the_largest_pixel():
    maps = torch.zeros(2, 3, 10, 20)
    maps[1, 2, 7, 4] = 1
    found = keypoints.argmax_keypoints(maps)
    assert found.shape == (2, 3, 2)
    assert found[1, 2].tolist() == pytest.approx([4.5 / 20, 7.5 / 10])
    assert found[0, 0].tolist() == pytest.approx([0.5 / 20, 0.5 / 10])


def test_windowed_average_is_scipys_centre_of_mass_of_a_disc():
    maps, radius = _maps(4, 20), 5
    for n, found in enumerate(keypoints.windowed_average(maps, radius)):
        row, column = np.unravel_index(int(maps[n].argmax()), (20, 20))
        rows, columns = np.mgrid[:20, :20]
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        expected = np.array(center_of_mass(maps[n].numpy() * disc))[::-1] + 0.5
        assert np.allclose(found * 20, expected, atol=1e-4)


def test_soft_argmax_nears_the_argmax_and_has_a_gradient():
    maps = gaussian_target(torch.tensor([[0.31, 0.66]]), 64, 0.05).requires_grad_(True)
    found = keypoints.soft_argmax(maps, temperature=0.01)
    assert found[0].tolist() == pytest.approx([0.31, 0.66], abs=4e-3)
    found.sum().backward()
    assert maps.grad.abs().sum() > 0
    assert keypoints.soft_argmax(torch.zeros(8, 8)).tolist() == pytest.approx([0.5, 0.5])


def test_rank_gaussian_is_the_divergence_written_out():
    maps, sigma = _maps(), 2.0
    divergences = []
    rows, columns = np.mgrid[:16, :16]
    for m in maps.double().numpy():
        row, column = np.unravel_index(m.argmax(), m.shape)
        target = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2)) + 1e-5
        target /= target.sum()
        divergences.append((target * (np.log(target) - log_softmax(m.ravel()).reshape(m.shape))).sum())
    assert keypoints.rank_gaussian(maps, 5, sigma).tolist() == np.argsort(divergences)[:5].tolist()


def test_a_blob_ranks_before_noise():
    maps = _maps(6)
    maps[4] = gaussian_target(torch.tensor([0.4, 0.6]), 16, 2 / 16)
    assert keypoints.rank_gaussian(maps, 1, 2.0).tolist() == [4]


def test_furthest_points_is_the_search_written_out():
    maps, candidates = _maps(20, seed=3), torch.tensor([17, 3, 5, 11, 0, 8, 14])
    place = {n: np.array(np.unravel_index(int(maps[n].argmax()), (16, 16))) for n in candidates.tolist()}

    def gap(a, b):
        return np.linalg.norm(place[a] - place[b])

    chosen = list(max(combinations(candidates.tolist(), 2), key=lambda pair: gap(*pair)))
    while len(chosen) < 5:
        rest = [n for n in candidates.tolist() if n not in chosen]
        chosen.append(max(rest, key=lambda n: min(gap(n, c) for c in chosen)))
    assert keypoints.furthest_points(maps, 5, candidates).tolist() == chosen


def test_furthest_points_of_one_and_of_coinciding_maps():
    maps = torch.zeros(4, 8, 8)
    maps[:, 2, 2] = 1
    assert keypoints.furthest_points(maps, 1, torch.tensor([3, 1])).numel() == 1
    assert sorted(keypoints.furthest_points(maps, 4, torch.arange(4)).tolist()) == [0, 1, 2, 3]


def test_most_chosen_counts():
    choices = torch.tensor([[5, 2, 9], [2, 5, 7], [2, 1, 7]])
    assert keypoints.most_chosen(choices, 3).tolist() == [2, 5, 7]


def test_more_tokens_than_there_are_is_refused():
    with pytest.raises(ValueError, match="rank_gaussian: k is 9, expected 1 to 8"):
        keypoints.rank_gaussian(_maps(), 9, 2.0)
    with pytest.raises(ValueError, match="furthest_points: k is 4, expected 1 to 3"):
        keypoints.furthest_points(_maps(), 4, torch.arange(3))


def test_a_runner_up_is_the_second_peak_beside_the_first():
    places = torch.tensor([[0.25, 0.25], [0.75, 0.75]])
    two = gaussian_target(places, 64, 0.03)
    maps = torch.stack([two[0] + 0.5 * two[1], two[0]])
    found = keypoints.runner_up(maps, keypoints.argmax_keypoints(maps))
    assert found[0] == pytest.approx(0.5, abs=0.01)
    assert found[1] < 0.15, "of a single narrow peak only its own foot is left"
    assert keypoints.runner_up(torch.zeros(1, 8, 8), places[:1]) == 0


def test_a_clear_peak_is_the_likelier_hit():
    level, slope = keypoints.CALIBRATION
    ratios = torch.tensor([0.1, 0.9])
    found = keypoints.hit_probability(ratios)
    assert (
        np.allclose(found, 1 / (1 + np.exp(-(level + slope * ratios.numpy())))) and found[0] > 0.9 > found[1]
    )


def test_candidates_by_entropy_are_those_of_scipys_least():
    maps = 9 * _maps()
    expected = np.argsort([entropy(softmax(one.numpy().ravel().astype(float))) for one in maps])
    assert keypoints.candidates(maps, 8, 2.0, "entropy").tolist() == expected.tolist()


def test_candidates_may_be_the_same_for_every_picture_or_as_ever():
    assert keypoints.candidates(_maps(), 3, 2.0, "consistent").tolist() == [0, 1, 2]
    assert torch.equal(keypoints.candidates(_maps(), 3, 2.0), keypoints.rank_gaussian(_maps(), 3, 2.0))
    with pytest.raises(ValueError, match="k is 9, expected 1 to 8"):
        keypoints.candidates(_maps(), 9, 2.0, "entropy")
