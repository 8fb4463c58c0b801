"""A scene as plain data: change one attribute, render again, and nothing else moves."""

from dataclasses import dataclass, replace

import numpy as np

from kp_helpers.figures.dogs import Dog
from kp_helpers.figures.motion import MOTIONS, SEAT_HEIGHT, Motion, draw_motion
from kp_helpers.figures.palette import COLOURS, GROUNDS, SKIN_TONES
from kp_helpers.figures.shapes import Camera, look_at

THINGS = ("ball", "box", "bag", "cone", "umbrella", "dog", "tree")
CLOTHES = ("hair", "shirt", "trousers", "shoes")
LIMBS = ("left arm", "right arm", "left leg", "right leg")
"""What captions call by their side: an arm from shoulder to hand, a leg from thigh to shoe."""
_ODD = 0.125
"""Share of people with one sleeve rolled up, and of people with one trouser leg of another colour."""


@dataclass(frozen=True)
class Person:
    """One person. Colours are words; `pose` (24, 3) is axis-angle; `place` (3,) metres, the pelvis.

    `motion_side` is the side that kicks, waves or throws. `bare_arm` and `odd_leg` are "left", "right" or "":
    the arm whose sleeve is rolled up, and the trouser leg that is `odd_colour` instead. `bare` names the
    clothes that are left off, "hair" among them: skin is drawn in their place.
    """

    hair: str
    hair_style: str
    skin: str
    shirt: str
    sleeves: str
    trousers: str
    shoes: str
    motion: str
    motion_side: str
    bare_arm: str
    odd_leg: str
    odd_colour: str
    pose: np.ndarray
    place: np.ndarray
    scale: float
    seed: int
    bare: tuple[str, ...] = ()


@dataclass(frozen=True)
class Thing:
    """A thing on the ground at `place` (x, z) metres, `size` metres high; `flip` looks the other way."""

    kind: str
    colour: str
    place: tuple[float, float]
    size: float
    flip: bool
    seed: int


@dataclass(frozen=True)
class Scene:
    """Everything that a picture shows. `light` is the brightness and its slope from left to right.

    `dogs` are articulated, those among the `things` are flat; scenes that are drawn have none.
    """

    camera: Camera
    people: tuple[Person, ...]
    things: tuple[Thing, ...]
    ground: str
    backdrop: str
    wall: str
    light: tuple[float, float]
    seed: int
    dogs: tuple[Dog, ...] = ()


@dataclass(frozen=True)
class Sequence:
    """A moving scene: `scene(seconds)` is the still at that time."""

    still: Scene
    motions: tuple[Motion, ...]
    places: tuple[tuple[float, float], ...]
    eye: np.ndarray
    target: np.ndarray
    drift: np.ndarray

    def scene(self, seconds: float) -> Scene:
        """The scene at `seconds`: people in their poses, the camera a little further on its way."""
        people = tuple(
            _posed(person, motion, place, seconds)
            for person, motion, place in zip(self.still.people, self.motions, self.places, strict=True)
        )
        old = self.still.camera
        moved = np.sin(0.6 * seconds) * self.drift
        camera = look_at(self.eye + moved, self.target + 0.5 * moved, old.focal, old.size)
        return replace(self.still, people=people, camera=camera)


def draw_sequence(seed: int, size: tuple[int, int] = (128, 128)) -> Sequence:
    """The sequence that `seed` stands for, in frames of `size` (width, height) pixels."""
    rng = np.random.default_rng([seed, 7])
    kind = str(rng.choice(MOTIONS))
    motions = [draw_motion(rng, kind, float(rng.uniform(-180, 180)))]
    places = [(0.0, 0.0)]
    if rng.random() < 0.18:
        motions.append(draw_motion(rng, str(rng.choice(MOTIONS)), float(rng.uniform(-180, 180))))
        places.append((float(rng.choice([-1, 1]) * rng.uniform(0.65, 1.0)), float(rng.uniform(-0.6, 0.3))))
    people = tuple(_draw_person(rng, motion) for motion in motions)
    eye, target, focal = _draw_view(rng, size)
    still = Scene(
        camera=look_at(eye, target, focal, size),
        people=people,
        things=_draw_things(rng, motions, places, size[0] / size[1]),
        ground=str(rng.choice(list(GROUNDS))),
        backdrop=str(rng.choice(["sky", "wall"])),
        wall=_colour(rng),
        light=(float(rng.uniform(0.86, 1.1)), float(rng.uniform(-0.12, 0.12))),
        seed=int(seed),
    )
    drift = rng.uniform(-1, 1, 3) * (0.25, 0.08, 0.15)
    return Sequence(still, tuple(motions), tuple(places), eye, target, drift)


def draw_scene(seed: int, size: tuple[int, int] = (128, 128)) -> Scene:
    """One still of the sequence that `seed` stands for, at a time that the seed chooses too."""
    seconds = float(np.random.default_rng([seed, 11]).uniform(0, 4))
    return draw_sequence(seed, size).scene(seconds)


def _posed(person: Person, motion: Motion, place: tuple[float, float], seconds: float) -> Person:
    pose, pelvis = motion.at(seconds)
    return replace(person, pose=pose, place=pelvis + np.array([place[0], 0.0, place[1]]))


def _colour(rng: np.random.Generator) -> str:
    return str(rng.choice(list(COLOURS)))


def _draw_person(rng: np.random.Generator, motion: Motion) -> Person:
    person = Person(
        hair=_colour(rng),
        hair_style=str(rng.choice(["short", "long"])),
        skin=str(rng.choice(list(SKIN_TONES))),
        shirt=_colour(rng),
        sleeves=str(rng.choice(["short", "long"])),
        trousers=_colour(rng),
        shoes=_colour(rng),
        motion=motion.kind,
        motion_side=motion.side,
        bare_arm="",
        odd_leg="",
        odd_colour="",
        pose=np.zeros((24, 3)),
        place=np.zeros(3),
        scale=motion.scale,
        seed=int(rng.integers(2**31)),
    )
    return _with_odd_sides(person)


def _with_odd_sides(person: Person) -> Person:
    """One sleeve rolled up, or one trouser leg of another colour, in an eighth of the people each.

    Drawn from the person's own seed, so that the rest of the scene is as it would be without.
    """
    rng = np.random.default_rng([person.seed, 31])
    arm, leg = rng.random(2)
    return replace(
        person,
        bare_arm=str(rng.choice(["left", "right"])) if arm < _ODD else "",
        odd_leg=str(rng.choice(["left", "right"])) if leg < _ODD else "",
        odd_colour=str(rng.choice([word for word in COLOURS if word != person.trousers])),
    )


def _draw_view(rng: np.random.Generator, size: tuple[int, int]):
    """Eye and target in metres and the focal length in pixels; some views cut the person off."""
    width, height = size
    focal = 1.5 * max(size)
    share = rng.uniform(0.56, 0.92) * min(1.0, 1.6 * width / height)
    distance = focal * 1.72 / (share * height)
    slack = 1.72 * (1 / share - 1) / 2
    aside = rng.uniform(-1, 1) * (0.8 * slack + 0.2 * max(0.0, width / height - 1) / share)
    up = rng.uniform(-0.6, 0.6) * slack
    if rng.random() < 0.1:
        up += rng.choice([-0.5, 0.45])
    target = np.array([aside, 0.86 + up, 0.0])
    return target + (rng.uniform(-0.5, 0.5), rng.uniform(0.0, 0.9), distance), target, focal


THING_SIZES = {
    "ball": (0.34, 0.5),
    "box": (0.4, 0.62),
    "bag": (0.42, 0.6),
    "cone": (0.5, 0.75),
    "umbrella": (0.9, 1.2),
    "dog": (0.5, 0.7),
    "tree": (1.5, 2.3),
}


def _draw_things(rng, motions, places, aspect: float) -> tuple[Thing, ...]:
    """One to three things of different kinds, and a box under whoever sits."""
    seated = [place for motion, place in zip(motions, places, strict=True) if motion.kind == "sit"]
    kinds = [kind for kind in THINGS if not (seated and kind == "box")]
    chosen = rng.choice(kinds, size=int(rng.choice([1, 2, 3], p=[0.3, 0.45, 0.25])), replace=False)
    side = rng.choice([-1, 1])
    colour = _colour(rng)
    things = [Thing("box", colour, place, SEAT_HEIGHT, False, int(rng.integers(2**31))) for place in seated]
    for order, kind in enumerate(chosen):
        far = kind in ("tree", "umbrella")
        across = side * (-1) ** order * rng.uniform(0.5, 0.65 + 0.35 * max(aspect, 0.7))
        deep = rng.uniform(-1.9, -0.9) if far else rng.uniform(-0.5, 0.5)
        things.append(
            Thing(
                kind=str(kind),
                colour=_colour(rng),
                place=(float(across), float(deep)),
                size=float(rng.uniform(*THING_SIZES[kind])),
                flip=bool(rng.random() < 0.5),
                seed=int(rng.integers(2**31)),
            )
        )
    return tuple(things)
