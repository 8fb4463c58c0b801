"""Articulated dogs as drawable parts, with fifteen landmarks in the order of CUB's birds."""

from dataclasses import dataclass

import numpy as np

from kp_helpers.figures.palette import COLOURS
from kp_helpers.figures.shapes import Camera, Part, disc, round_strokes

LANDMARKS = (
    *("back", "nose", "belly", "chest", "crown", "forehead", "left_eye", "left_front_paw"),
    *("left_hind_paw", "nape", "right_eye", "right_front_paw", "right_hind_paw", "tail", "throat"),
)
"""In CUB's places: a front paw stands for the bird's leg, a hind paw for its wing, the nose for its beak."""
INDEX = {name: number for number, name in enumerate(LANDMARKS)}
_INK = (44, 34, 34)
_HEAD = np.array([0.34, 0.62, 0.0])
"""Where the neck leaves the body; the head turns about it. Metres of a dog of size 1: forward, up, left."""


@dataclass(frozen=True)
class Dog:
    """One dog. heading: degrees, 0 looks to the right of the picture; nod, turn: of the head, in degrees.

    stride: of the legs, -1 to 1; place: (x, z) metres; build: how much longer than usual the body is.
    """

    colour: str
    heading: float
    nod: float
    turn: float
    stride: float
    wag: float
    build: float
    size: float
    place: tuple[float, float]
    seed: int

    def points(self) -> np.ndarray:
        """The landmarks (15, 3) in metres of the world."""
        own = {
            "back": self.body(0.0, 0.69),
            "belly": self.body(0.0, 0.37),
            "chest": self.body(0.4, 0.47),
            "nose": self.head(0.44, 0.17, 0.0),
            "crown": self.head(0.14, 0.35, 0.0),
            "forehead": self.head(0.25, 0.3, 0.0),
            "nape": self.head(-0.02, 0.16, 0.0),
            "throat": self.head(0.16, 0.05, 0.0),
            "tail": self.tail(),
        }
        for side, sign in (("left", 1), ("right", -1)):
            own[f"{side}_eye"] = self.head(0.25, 0.23, 0.08 * sign)
            for end in ("front", "hind"):
                own[f"{side}_{end}_paw"] = self.leg(end, sign)[1]
        return np.stack([own[name] for name in LANDMARKS])

    def body(self, forward: float, up: float, left: float = 0.0) -> np.ndarray:
        """World point (3,) of the dog's own metres."""
        return self._world((forward * self.build, up, left))

    def head(self, forward: float, up: float, left: float) -> np.ndarray:
        """World point of the head, seen from where the neck begins: it nods first, then turns."""
        (cn, sn), (ct, st) = ((np.cos(a), np.sin(a)) for a in (np.radians(self.nod), np.radians(self.turn)))
        forward, up = cn * forward - sn * up, sn * forward + cn * up
        turned = (ct * forward - st * left, up, st * forward + ct * left)
        return self._world(_HEAD * (self.build, 1, 1) + turned)

    def leg(self, end: str, sign: int) -> tuple[np.ndarray, np.ndarray]:
        """Its upper end and its paw; legs that stand crosswise swing together."""
        at, phase = (0.3, 1) if end == "front" else (-0.32, -1)
        swing = 0.14 * self.stride * phase * sign
        return self.body(at, 0.44, 0.09 * sign), self.body(at + swing, 0.05, 0.09 * sign)

    def tail(self) -> np.ndarray:
        """World point of its tip."""
        return self.body(-0.66, 0.84, self.wag)

    def _world(self, own) -> np.ndarray:
        forward, up, left = np.asarray(own) * self.size
        cos, sin = np.cos(np.radians(self.heading)), np.sin(np.radians(self.heading))
        return np.array(
            [cos * forward - sin * left + self.place[0], up, -sin * forward - cos * left + self.place[1]]
        )


def dog_parts(dog: Dog, entity: str, camera: Camera, light: float) -> list[Part]:
    """All parts of a dog, unsorted; a landmark is carried by what it lies on, an eye where it is drawn."""
    jitter = np.random.default_rng(dog.seed).integers(-9, 10, 3)
    tone = tuple(int(c) for c in np.clip(np.add(COLOURS[dog.colour], jitter), 0, 255))
    parts = []

    def limb(start, start_radius, end, end_radius, landmarks=(), nearer=0.0, ink=tone):
        (first, z0), (second, z1) = camera.project(start), camera.project(end)
        radii = [
            r * dog.size * camera.focal / max(z, 0.05) for r, z in ((start_radius, z0), (end_radius, z1))
        ]
        carried = frozenset(INDEX[name] for name in landmarks)
        strokes = round_strokes(first, radii[0], second, radii[1], light)
        depth = float(z0 + z1) / 2 - nearer
        parts.append(Part("dog", entity, ink, dog.colour, depth, strokes, carried))

    for side, sign in (("left", 1), ("right", -1)):
        for end in ("front", "hind"):
            top, paw = dog.leg(end, sign)
            limb(top, 0.09, paw, 0.07, [f"{side}_{end}_paw"])
    limb(dog.body(-0.4, 0.6), 0.05, dog.tail(), 0.05, ["tail"])
    limb(dog.body(-0.32, 0.53), 0.19, dog.body(0.3, 0.54), 0.2, ["back", "belly", "chest"])
    limb(dog.body(0.3, 0.58), 0.14, dog.head(0.1, 0.18, 0.0), 0.12, ["nape", "throat", "chest"], 0.02)
    limb(dog.head(0.14, 0.22, 0), 0.15, dog.head(0.17, 0.22, 0), 0.15, ["crown", "forehead", "nape"], 0.04)
    limb(dog.head(0.2, 0.16, 0.0), 0.1, dog.head(0.4, 0.14, 0.0), 0.07, ["throat", "nose"], 0.06)
    tip = dog.head(0.45, 0.18, 0.0)
    limb(tip, 0.04, tip + 1e-4, 0.04, ["nose"], 0.1, _INK)
    for side, sign in (("left", 1), ("right", -1)):
        limb(dog.head(0.08, 0.34, 0.1 * sign), 0.06, dog.head(0.06, 0.16, 0.16 * sign), 0.05, (), 0.05)
        eye, inside = dog.head(0.25, 0.23, 0.08 * sign), dog.head(0.25, 0.23, 0.0)
        (pixel, depth), (_, behind) = camera.project(eye), camera.project(inside)
        if depth < behind + 0.02 * dog.size:
            spot = (disc(pixel, 0.033 * dog.size * camera.focal / depth), 128)
            carried = frozenset([INDEX[f"{side}_eye"]])
            parts.append(Part("dog", entity, _INK, dog.colour, float(depth) - 0.2, [spot], carried))
    return parts
