"""Worlds in five published layouts, read back by the loaders and held against the pictures themselves."""

import json

import numpy as np
import pytest

from kp_helpers.data.benchmarks import CelebA, CUBAligned, CUBParts, DeepFashion, Human36M, TaiChi
from kp_helpers.data.benchmarks.cub import JOINTS as BIRD
from kp_helpers.figures.benchmark_worlds import export
from kp_helpers.figures.dogs import INDEX, LANDMARKS


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds") / "world"
    export(folder, train=8, test=4, seed=1)
    return folder


def pixels(sample, joints=None) -> np.ndarray:
    """The picture's colours (K, 3) in [0,1] at the landmarks that count."""
    image, shown = sample.image().numpy(), [j for j in joints or sample.joints if sample.visible[j]]
    columns, rows = np.array([sample.joints[j] for j in shown]).astype(int).T
    return image[:, rows, columns].T


def test_every_layout_is_read_and_every_split_has_its_pictures(world):
    loaders = (TaiChi, Human36M, DeepFashion, CelebA, CUBAligned)
    for loader, folder in zip(loaders, ("taichi", "human36m", "deepfashion", "celeba", "cub"), strict=True):
        assert [len(loader(world / folder, split)) for split in ("train", "test")] == [8, 4]
    assert [len(CUBParts(world / "cub", "train", species=n)) for n in (1, 2, 3, None)] == [8, 8, 8, 48]


def test_landmarks_lie_on_cut_out_people(world):
    """The background is white in one and black by its mask in the other."""
    white = [pixels(one) for one in DeepFashion(world / "deepfashion", "train")]
    assert (np.concatenate(white).min(axis=1) < 0.97).mean() > 0.9
    black = [pixels(one) for one in Human36M(world / "human36m", "train")]
    assert (np.concatenate(black).max(axis=1) > 0.03).mean() > 0.85


def test_human36ms_sides_are_the_persons_and_its_cameras_go_round(world):
    """From behind, the left of a person is the picture's."""
    samples = [*Human36M(world / "human36m", "train")]
    order = {one.joints["left_shoulder"][0] < one.joints["right_shoulder"][0] for one in samples}
    assert order == {True, False} and len({one.sequence for one in samples}) > 4
    assert all(one.joints["head_end"][1] < one.joints["hips"][1] for one in samples)


@pytest.mark.parametrize("aligned", [True, False])
def test_eyes_are_dark_and_left_is_the_pictures(world, aligned):
    faces = [*CelebA(world / "celeba", "train", aligned=aligned)]
    assert all(one.joints["left_eye"][0] < one.joints["right_eye"][0] for one in faces)
    ink = np.concatenate([pixels(one, ["left_eye", "right_eye"]) for one in faces])
    assert np.median(ink.max(axis=1)) < 0.3


def test_aligned_faces_are_nearer_to_one_place_than_wild_ones(world):
    spread = []
    for aligned in (True, False):
        faces = CelebA(world / "celeba", "train", aligned=aligned)
        spread.append(np.std([np.divide(one.joints["nose"], one.frame_size) for one in faces], axis=0).max())
    assert spread[0] < spread[1]


def test_a_dogs_landmarks_stand_in_the_places_of_a_birds():
    assert len(LANDMARKS) == len(BIRD)
    same = {"back", "belly", "crown", "forehead", "left_eye", "nape", "right_eye", "tail", "throat"}
    assert all(BIRD[INDEX[name]] == name for name in same)


def test_of_a_dogs_landmarks_those_that_something_hides_do_not_count(world):
    for one in (*CUBAligned(world / "cub", "train"), *CUBParts(world / "cub", "train")):
        assert sum(one.visible.values()) >= 5
        height = {name: one.joints[name][1] for name in BIRD if one.visible[name]}
        if {"back", "belly"} <= height.keys():
            assert height["back"] < height["belly"]
    seen = np.array([[*one.visible.values()] for one in CUBParts(world / "cub", "train")])
    eyes = seen[:, [INDEX["left_eye"], INDEX["right_eye"]]].sum(axis=1)
    assert 0.5 < eyes.mean() < 1.5, "of a dog from the side one eye is seen"


def test_a_dog_lies_in_its_box(world):
    for one in CUBParts(world / "cub", "test"):
        shown = np.array([point for name, point in one.joints.items() if one.visible[name]])
        assert (shown >= np.subtract(one.box[:2], 1)).all() and (shown <= np.add(one.box[2:], 1)).all()


def test_equal_seeds_are_equal_files_and_other_settings_are_refused(world, tmp_path):
    again = export(tmp_path / "again", train=8, test=4, seed=1)
    assert again == json.loads((world / "manifest.json").read_text())
    with pytest.raises(FileExistsError, match="holds an export with"):
        export(world, train=9, test=4, seed=1)
