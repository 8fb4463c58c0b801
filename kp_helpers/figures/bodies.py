"""A person's body as drawable parts: capsules round the bones in clothes, and a head with a face."""

import numpy as np

from kp_helpers.figures.palette import COLOURS, skin_tone
from kp_helpers.figures.scene import Person
from kp_helpers.figures.shapes import Camera, Part, capsule, disc, round_strokes
from kp_helpers.figures.skeleton import INDEX, forward_kinematics

_FACE_INK = (44, 34, 34)


class _Drawer:
    """Turns places on one person's body into pixels, and collects the parts."""

    def __init__(self, person: Person, entity: str, camera: Camera, light: float):
        self.person, self.entity, self.camera, self.light = person, entity, camera, light
        self.joints, self.rotations = forward_kinematics(person.pose, person.place, person.scale)
        self.parts: list[Part] = []

    def place(self, joint: str, offset=(0.0, 0.0, 0.0)) -> np.ndarray:
        """World point (3,) at `offset` metres from a joint, in the joint's own axes."""
        index = INDEX[joint]
        return self.joints[index] + self.rotations[index] @ (np.asarray(offset) * self.person.scale)

    def seen(self, point, radius: float):
        """Pixel, radius in pixels and depth of a ball round a world point."""
        pixel, depth = self.camera.project(point)
        return pixel, radius * self.person.scale * self.camera.focal / max(depth, 0.05), float(depth)

    def tone(self, label: str, word: str):
        """RGB of a class of parts in a colour word, with the person's own small difference."""
        rgb = skin_tone(word) if label == "skin" else COLOURS[word]
        own = np.random.default_rng([self.person.seed, len(label)]).integers(-9, 10, 3)
        return tuple(int(c) for c in np.clip(np.add(rgb, own), 0, 255))

    def add(self, label, strokes, depth, joints=(), ink=None, limb=""):
        """Keep a part of class `label` at `depth`; an odd trouser leg keeps the trousers' word."""
        label = "skin" if label in self.person.bare else label
        word = getattr(self.person, label)
        odd = label == "trousers" and limb == f"{self.person.odd_leg} leg"
        rgb = ink or self.tone(label, self.person.odd_colour if odd else word)
        carried = frozenset(INDEX[name] for name in joints)
        texture = "cloth" if label in ("shirt", "trousers") else "none"
        self.parts.append(Part(label, self.entity, rgb, word, depth, strokes, carried, texture, limb))

    def limb(self, label, start, start_radius, end, end_radius, joints, nearer=0.0, limb=""):
        """A capsule between two world points."""
        first, r0, z0 = self.seen(start, start_radius)
        second, r1, z1 = self.seen(end, end_radius)
        strokes = round_strokes(first, r0, second, r1, self.light)
        self.add(label, strokes, (z0 + z1) / 2 - nearer, joints, limb=limb)


def body_parts(person: Person, entity: str, camera: Camera, light: float) -> list[Part]:
    """All parts of `person`, unsorted. Left and right are drawn alike: pose tells them apart, and now and
    then a rolled sleeve or an odd trouser leg."""
    drawer = _Drawer(person, entity, camera, light)
    for side in ("left", "right"):
        _arm(drawer, side)
        _leg(drawer, side)
    _torso(drawer)
    _head(drawer)
    return drawer.parts


def _arm(drawer: _Drawer, side: str):
    shoulder, elbow, wrist, hand = (
        drawer.place(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist", "hand")
    )
    upper, lower = _sleeves(drawer.person, side)
    limb = f"{side} arm"
    drawer.limb(upper, shoulder, 0.062, elbow, 0.05, (f"{side}_shoulder", f"{side}_elbow"), 0.02, limb)
    drawer.limb(lower, elbow, 0.048, wrist, 0.04, (f"{side}_elbow", f"{side}_wrist"), 0.03, limb)
    drawer.limb("skin", wrist, 0.042, hand, 0.042, (f"{side}_wrist", f"{side}_hand"), 0.03, limb)


def _sleeves(person: Person, side: str) -> tuple[str, str]:
    """What covers the upper and the lower arm; a sleeve that is rolled up ends one part earlier."""
    if person.sleeves == "long":
        return "shirt", "skin" if person.bare_arm == side else "shirt"
    return "skin" if person.bare_arm == side else "shirt", "skin"


def _leg(drawer: _Drawer, side: str):
    hip, knee, ankle = (drawer.place(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
    limb = f"{side} leg"
    drawer.limb("trousers", hip, 0.095, knee, 0.072, (f"{side}_hip", f"{side}_knee"), limb=limb)
    drawer.limb("trousers", knee, 0.072, ankle, 0.058, (f"{side}_knee", f"{side}_ankle"), limb=limb)
    heel, toe = (
        drawer.place(f"{side}_ankle", (0, -0.045, -0.03)),
        drawer.place(f"{side}_foot", (0, 0.0, 0.08)),
    )
    drawer.limb("shoes", heel, 0.066, toe, 0.06, (f"{side}_ankle", f"{side}_foot"), 0.02, limb)


def _torso(drawer: _Drawer):
    corners = [
        drawer.seen(drawer.place(name), 0.08)
        for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
    ]
    (a, r, _), (b, _, _), (c, _, _), (d, _, _) = corners
    top, top_radius, near = drawer.seen(drawer.place("spine3", (0, 0.06, 0)), 0.13)
    bottom, bottom_radius, _ = drawer.seen(drawer.place("pelvis"), 0.12)
    rim = [
        (capsule(*pair), 100) for pair in ((a, r * 0.85, b, r * 0.85), (a, r * 0.8, d, r), (b, r * 0.8, c, r))
    ]
    front = round_strokes(top, top_radius, bottom, bottom_radius, drawer.light)
    strokes = [*rim, (np.stack([a, b, c, d]), 124), *front]
    sides = [f"{side}_{name}" for side in ("left", "right") for name in ("hip", "collar", "shoulder")]
    drawer.add("shirt", strokes, near, ("pelvis", "spine1", "spine2", "spine3", "neck", *sides))
    left, right = drawer.place("left_hip"), drawer.place("right_hip")
    drawer.limb("trousers", left, 0.115, right, 0.115, ("pelvis", "left_hip", "right_hip"), 0.01)


def _head(drawer: _Drawer):
    def ball(label, offset, radius, nearer=0.0):
        place = drawer.place("head", offset)
        drawer.limb(label, place, radius, place + 1e-4, radius, ("head",), nearer)

    drawer.limb("skin", drawer.place("neck", (0, -0.03, 0)), 0.06, drawer.place("head"), 0.055, ("neck",))
    ball("skin", (0, 0.045, 0.03), 0.115)
    ball("hair", (0, 0.1, -0.04), 0.145)
    if drawer.person.hair_style == "long":
        top, end = drawer.place("head", (0, 0.06, -0.1)), drawer.place("head", (0, -0.17, -0.12))
        drawer.limb("hair", top, 0.13, end, 0.1, ())
    fringe = [drawer.place("head", (x, 0.135, 0.075)) for x in (-0.075, 0.075)]
    drawer.limb("hair", fringe[0], 0.05, fringe[1], 0.05, ("head",), 0.05)
    _face(drawer)


def _face(drawer: _Drawer):
    """Eyes and a mouth, where the face looks at the camera: what tells the front from the back."""
    looks = drawer.rotations[INDEX["head"]][:, 2]
    centre = drawer.place("head", (0, 0.045, 0.03))
    to_eye = -drawer.camera.extrinsics[:3, :3].T @ drawer.camera.extrinsics[:3, 3] - centre
    if looks @ to_eye / np.linalg.norm(to_eye) < 0.2:
        return
    strokes = []
    for offset, radius, flat in (
        ((0.045, 0.05, 0.135), 0.02, 1.0),
        ((-0.045, 0.05, 0.135), 0.02, 1.0),
        ((0, -0.015, 0.135), 0.034, 0.4),
    ):
        pixel, size, depth = drawer.seen(drawer.place("head", offset), radius)
        strokes.append((disc(pixel, size, flat), 128))
    drawer.add("skin", strokes, depth - 0.02, ("head",), ink=_FACE_INK)
