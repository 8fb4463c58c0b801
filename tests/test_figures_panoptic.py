"""The figures world with panoptic masks, with and without some of its classes."""

import numpy as np
import pytest

from kp_helpers.figures.panoptic import CLASSES, panoptic_pictures
from kp_helpers.figures.render import render
from kp_helpers.figures.scene import THINGS, draw_scene


def test_segments_are_those_of_the_renderer():
    row = panoptic_pictures(100, 1).rows[0]
    picture = render(draw_scene(100))
    assert (row.image == picture.image).all()
    for label, mask in zip(row.labels, row.masks(), strict=True):
        if label not in THINGS:
            assert (mask == picture.mask(label)).all()
    assert (row.segments == 0).sum() <= 12 * len(picture.table)


@pytest.mark.parametrize("without", [("shirt", "grass", "dog"), ("hair", "sky", "box"), ("shoes", "wall")])
def test_scenes_are_free_of_what_is_left_out(without):
    pictures = panoptic_pictures(200, 6, without)
    named = {label for row in pictures.rows for label in row.labels}
    said = " ".join(phrase for row in pictures.rows for phrase in row.phrases).split()
    assert not named & set(without)
    assert not set(said) & set(without)
    assert named <= set(CLASSES)


def test_skin_takes_the_place_of_a_garment():
    seed = next(n for n in range(300, 340) if render(draw_scene(n)).mask("shirt").sum() > 200)
    shirt = render(draw_scene(seed)).mask("shirt")
    row = panoptic_pictures(seed, 1, ("shirt",)).rows[0]
    skin = row.masks()[row.labels.index("skin")]
    assert np.mean(skin[shirt]) > 0.95
