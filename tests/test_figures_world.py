"""Scenes, pictures and captions of the figures world: deterministic, exact, and independent of each other."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from kp_helpers.figures.captions import MOTION_WORDS, describe, facing, mention
from kp_helpers.figures.limb_states import limb_states
from kp_helpers.figures.palette import COLOURS
from kp_helpers.figures.pictures import crops_of, load_pictures, make_pictures, visible_pairs
from kp_helpers.figures.render import render
from kp_helpers.figures.scene import CLOTHES, LIMBS, THINGS, draw_scene, draw_sequence
from kp_helpers.figures.skeleton import INDEX


@pytest.fixture(scope="module")
def many():
    scenes = [draw_scene(seed) for seed in range(120)]
    return scenes, [render(scene) for scene in scenes]


def test_a_seed_is_a_picture():
    first, second = render(draw_scene(5)), render(draw_scene(5))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.segments, second.segments)
    assert first.image.shape == (128, 128, 3)
    assert not np.array_equal(first.image, render(draw_scene(6)).image)


def test_one_attribute_changes_and_nothing_else_moves(many):
    scene, before = many[0][1], many[1][1]
    other = "red" if scene.people[0].shirt != "red" else "blue"
    changed = replace(scene, people=(replace(scene.people[0], shirt=other), *scene.people[1:]))
    after = render(changed)
    np.testing.assert_array_equal(before.segments, after.segments)
    np.testing.assert_allclose(before.people[0].pixels, after.people[0].pixels)
    different = (before.image != after.image).any(-1)
    near_shirt = np.zeros_like(different)
    rows, columns = np.nonzero(before.mask("shirt", "person 0"))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):  # averaging mixes a pixel with its neighbours at the shirt's edge
            near_shirt[np.clip(rows + down, 0, 127), np.clip(columns + right, 0, 127)] = True
    assert different.any() and not (different & ~near_shirt).any()


def test_named_colours_are_seen_where_the_mask_is(many):
    """The mean colour of a big enough shirt is nearer to its own colour word than to most others."""
    ranks = []
    for scene, picture in zip(*many, strict=True):
        mask = picture.mask("shirt", "person 0")
        if mask.sum() < 150:
            continue
        seen = np.array(picture.image[mask].mean(0))
        by_distance = sorted(COLOURS, key=lambda word: np.linalg.norm(seen - COLOURS[word]))
        ranks.append(by_distance.index(scene.people[0].shirt))
    assert len(ranks) > 50 and np.mean(np.array(ranks) == 0) > 0.8


def test_visible_joints_lie_on_their_person(many):
    shown = total = 0
    for picture in many[1]:
        for number, labels in enumerate(picture.people):
            for x, y in labels.pixels[labels.visible]:
                row = picture.table[picture.segments[int(y), int(x)]]
                assert row.entity == f"person {number}"
            shown, total = shown + labels.visible.sum(), total + 24
    assert 0.5 < shown / total < 0.95


def test_projection_agrees_with_the_camera(many):
    scene, picture = many[0][0], many[1][0]
    camera, world = scene.camera, picture.people[0].world
    seen = world @ camera.extrinsics[:3, :3].T + camera.extrinsics[:3, 3]
    u = camera.intrinsics[0, 0] * seen[:, 0] / seen[:, 2] + camera.intrinsics[0, 2]
    v = camera.intrinsics[1, 1] * seen[:, 1] / seen[:, 2] + camera.intrinsics[1, 2]
    np.testing.assert_allclose(picture.people[0].pixels, np.stack([u, v], -1), atol=1e-9)


def test_the_world_is_varied(many):
    scenes, _ = many
    assert {scene.people[0].motion for scene in scenes} == set(MOTION_WORDS)
    assert {thing.kind for scene in scenes for thing in scene.things} == set(THINGS)
    assert {getattr(s.people[0], part) for s in scenes for part in CLOTHES} == set(COLOURS)
    assert {scene.ground for scene in scenes} == {"grass", "sand", "road", "water"}
    facings = Counter(facing(scene, scene.people[0]) for scene in scenes)
    assert min(facings.values()) > 10 and set(facings) == {"front", "behind", "side"}
    assert 5 < sum(len(scene.people) == 2 for scene in scenes) < 50


def test_the_far_side_has_its_face_hidden(many):
    """A dark eye is seen on faces that look at the camera, never on the back of a head."""
    for scene, picture in zip(*many, strict=True):
        person = scene.people[0]
        if len(scene.people) == 1 and facing(scene, person) == "behind":
            skin = picture.image[picture.mask("skin", "person 0")]
            if (
                person.skin in ("white", "pink", "yellow")
                and person.hair not in ("black", "brown")
                and len(skin)
            ):
                assert (skin.max(-1) < 60).mean() < 0.05


def test_captions_say_what_is_there_and_remember_where(many):
    for scene, picture in zip(*many, strict=True):
        visible = visible_pairs(picture)
        caption = describe(scene, 0, visible)
        assert caption == describe(scene, 0, visible)
        for word, tag in zip(caption.words, caption.tags, strict=True):
            if tag is None:
                continue
            assert (tag.label, tag.entity) in visible
            if tag.label in LIMBS or tag.label == "person":
                assert tag.role == "colour" or word in (*tag.label.split(), "someone")
                continue
            segment = next(s for s in picture.table if (s.label, s.entity) == (tag.label, tag.entity))
            assert word == (segment.colour if tag.role == "colour" else segment.label)
    wordings = {describe(many[0][0], seed).text for seed in range(6)}
    assert len(wordings) == 6


def test_limbs_lie_on_their_own_side_of_the_body(many):
    """A limb's mask holds the joints of that limb that are visible, and none of the other side's."""
    held = crossed = 0
    for picture in many[1]:
        for number, labels in enumerate(picture.people):
            for limb in LIMBS:
                side, kind = limb.split()
                mask = picture.mask(limb, f"person {number}")
                for name in ("elbow", "wrist") if kind == "arm" else ("knee", "ankle"):
                    joint = INDEX[f"{side}_{name}"]
                    if labels.visible[joint]:
                        x, y = labels.pixels[joint].astype(int)
                        held, crossed = held + mask[y, x], crossed + ~mask[y, x]
    assert held > 500 and crossed < 0.02 * held


def test_captions_tell_limbs_by_their_side_and_name_no_joint(many):
    joints = {"foot", "feet", "hand", "elbow", "knee", "shoulder", "hip", "ankle", "wrist", "head"}
    told = 0
    for scene, picture in zip(*many, strict=True):
        visible = visible_pairs(picture)
        for caption in (describe(scene, 1, visible), mention(scene, 1, visible)):
            assert not joints & set(caption.words)
            for limb in LIMBS:
                tokens = caption.tokens_of(limb, "person 0")
                if tokens:
                    side, noun = (caption.words[tokens[role] - 1] for role in ("side", "noun"))
                    assert f"{side} {noun}" == limb
                    told += 1
    assert told > 150


def test_what_limbs_do_is_true_to_the_pose():
    """Poses worked by hand: rest has straight legs and arms stretched out; then one change each."""
    person = draw_scene(0).people[0]
    rest = replace(person, pose=np.zeros((24, 3)))
    assert limb_states(rest) == dict(zip(LIMBS, ["stretch"] * 2 + ["straight"] * 2, strict=True))
    pose = np.zeros((24, 3))
    pose[INDEX["left_shoulder"]] = (0, 0, np.pi / 2.2)
    pose[INDEX["right_elbow"]] = (0, np.pi / 2, 0)
    pose[INDEX["left_knee"]] = (np.pi / 2, 0, 0)
    pose[INDEX["right_hip"]] = (-np.pi / 4, 0, 0)
    assert limb_states(replace(person, pose=pose)) == {
        "left arm": "raise",
        "right arm": "bend",
        "left leg": "bend",
        "right leg": "front",
    }


def test_a_rolled_sleeve_and_an_odd_trouser_leg_are_seen_and_told():
    scene = draw_scene(6)
    person = replace(scene.people[0], bare_arm="", odd_leg="", sleeves="long")
    odd = replace(
        person, bare_arm="left", odd_leg="right", odd_colour="red" if person.trousers != "red" else "blue"
    )
    one, two = (render(replace(scene, people=(p, *scene.people[1:]))) for p in (person, odd))
    np.testing.assert_array_equal(one.limbs, two.limbs)
    changed = (one.image != two.image).any(-1)
    assert (
        changed[two.mask("left arm", "person 0")].any() and changed[two.mask("right leg", "person 0")].any()
    )
    assert not changed[one.mask("left leg", "person 0") & ~two.mask("right leg", "person 0")].all()
    texts = {
        describe(replace(scene, people=(odd, *scene.people[1:])), seed, visible_pairs(two)).text
        for seed in range(30)
    }
    assert any("left arm bare" in text for text in texts) and any("right leg in" in text for text in texts)


def test_crops_hold_their_thing(many):
    for scene, picture in zip(*many, strict=True):
        for text, (x0, y0, x1, y1) in crops_of(picture, scene):
            _, colour, label = text.split()
            window = picture.segments[y0:y1, x0:x1]
            assert x1 - x0 == y1 - y0 and window.shape == (y1 - y0, x1 - x0)
            numbers = [s.number for s in picture.table if (s.label, s.colour) == (label, colour)]
            assert np.isin(window, numbers).any()


def test_sequences_move_while_clothes_stay():
    sequence = draw_sequence(4, (120, 90))
    first, later = sequence.scene(0.0), sequence.scene(0.5)
    assert first.people[0].shirt == later.people[0].shirt and first.things == later.things
    assert not np.allclose(first.people[0].pose, later.people[0].pose)
    assert render(first).image.shape == (90, 120, 3)


def test_training_pictures_are_kept_and_found(tmp_path, monkeypatch):
    monkeypatch.setattr("kp_helpers.figures.pictures.SHARD", 4)
    with pytest.raises(FileNotFoundError, match="no training pictures"):
        load_pictures(tmp_path)
    from kp_helpers.figures.pictures import make_shard

    make_shard(tmp_path, 0)
    first = (tmp_path / "000.npz").read_bytes()
    make_pictures(tmp_path, 4, workers=1)
    assert (tmp_path / "000.npz").read_bytes() == first
    pictures = load_pictures(tmp_path, 3)
    assert pictures.images.shape == (3, 128, 128, 3) and len(pictures.captions) == len(pictures.crops) == 3
