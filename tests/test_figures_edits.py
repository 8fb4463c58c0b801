"""Edits of the figures world: each has one right answer; a picture is read by comparison with drawings."""

import numpy as np
import pytest

from kp_helpers import diffusion
from kp_helpers.figures.attributes import Reader, thing_colour
from kp_helpers.figures.edit_kinds import with_thing
from kp_helpers.figures.edits import KINDS, TEMPLATES, TRAINING, draw_edit, edits, held_out_pair, phrase
from kp_helpers.figures.render import render


@pytest.fixture(scope="module")
def drawn():
    return edits(2 * len(KINDS), first=TRAINING)


def test_the_same_seed_is_the_same_edit(drawn):
    again = draw_edit(TRAINING + 3, KINDS[3])
    assert again.instruction() == drawn[3].instruction()
    assert (again.pictures[1].image == drawn[3].pictures[1].image).all()


def test_every_word_of_an_instruction_is_one_token(drawn):
    tokenizer = diffusion.load("figures", "cpu").tokenizer
    for edit in drawn:
        for wording in range(len(TEMPLATES[edit.kind])):
            said = edit.instruction(wording)
            assert len(tokenizer(said).input_ids) == len(said.split()) + 2, said


def test_captions_tell_the_change(drawn):
    """A new thing stands in the edited caption alone, and one that goes in the first alone."""
    for edit in drawn:
        assert edit.caption != edit.edited
        words = [text.replace(",", "").split() for text in (edit.caption, edit.edited)]
        named = [edit.words.get("noun") in said for said in words]
        if edit.kind in ("add", "exchange"):
            assert named == [False, True]
        if edit.kind == "remove":
            assert named == [True, False]


def test_colours_change_their_own_pixels_alone(drawn):
    for edit in drawn:
        if edit.kind in ("thing colour", "clothes colour"):
            assert (edit.pictures[0].segments == edit.pictures[1].segments).all()


def test_a_true_edit_is_read_as_one_and_a_copy_as_none(drawn):
    for edit in drawn[: len(KINDS)]:
        reader = Reader(edit)
        right, copy = (reader.read(edit.pictures[side].image) for side in (1, 0))
        assert right.changed and not right.lost, edit.instruction()
        assert not copy.changed and not copy.lost, edit.instruction()


def test_what_else_changes_is_found(drawn):
    edit = next(one for one in drawn if one.kind == "ground" and one.after.things)
    spoiled = with_thing(edit.after, len(edit.after.things) - 1, None)
    reading = Reader(edit).read(render(spoiled).image)
    assert reading.changed and edit.after.things[-1].kind in reading.lost


def test_colours_from_two_drawings_are_those_of_the_renderer(drawn):
    scene = drawn[0].before
    attribute = thing_colour(scene, 0)
    for word in ("red", "white", "yellow"):
        true = render(attribute.scenes[word]).image.astype(float)
        drawn = attribute.drawn[list(attribute.scenes).index(word)]
        off = np.abs(drawn - true[attribute.where])
        assert off.sum() / true.size < 0.3 and off.max() < 20, "where light drives a colour out of range"


def test_held_out_pairs_are_never_drawn_for_training():
    seen = [draw_edit(TRAINING + n, "thing colour").words for n in range(30)]
    assert not any(held_out_pair(words) for words in seen)
    assert draw_edit(TRAINING, "thing colour", combination=True).held_out


def test_articles():
    assert phrase("make it {a_colour} {noun}", {"noun": "box", "colour": "orange"}) == "make it an orange box"
    assert phrase("give {some_colour} {noun}", {"noun": "hair", "colour": "red"}) == "give red hair"


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind is 'colour', expected one of thing colour"):
        draw_edit(0, "colour")
