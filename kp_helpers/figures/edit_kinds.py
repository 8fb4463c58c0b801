"""The kinds of edits: how each draws what changes in a scene, and the scene after it.

What words leave open is fixed: a new thing has its kind's middle size, a new motion its standard pose.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from kp_helpers.figures.captions import MOTION_WORDS
from kp_helpers.figures.motion import SEAT_HEIGHT, Motion
from kp_helpers.figures.palette import COLOURS, GROUNDS
from kp_helpers.figures.scene import CLOTHES, THING_SIZES, THINGS, Person, Scene, Thing

MOTIONS = ("walk", "run", "kick", "wave", "throw", "stand")
"""Motions that an instruction can ask for: sitting needs a box, and turning looks like walking."""
_PHASES = {"walk": 0.5, "run": 0.5, "kick": 0.5, "throw": 0.5, "wave": 0.0, "stand": 0.0}
"""Of each motion's standard pose, in units of pi."""


def standard_pose(person: Person, motion: str) -> Person:
    """The person in a motion's standard pose: heading, size and place stay."""
    turn = Rotation.from_rotvec(person.pose[0]).as_matrix()
    heading = float(np.degrees(np.arctan2(turn[0, 2], turn[2, 2])))
    still = Motion(
        kind=motion,
        heading=heading,
        side="right",
        speed=1.0,
        amplitude=1.0,
        phase=_PHASES[motion] * np.pi,
        scale=person.scale,
        sway=np.zeros((24, 3, 3)),
    )
    pose, pelvis = still.at(0.0)
    place = pelvis + person.place * (1, 0, 1)
    return replace(person, motion=motion, motion_side="right", pose=pose, place=place)


def standard_thing(kind: str, colour: str, place: tuple[float, float]) -> Thing:
    """A new thing of its kind's middle size at `place` (x, z) in metres."""
    return Thing(kind, colour, place, float(np.mean(THING_SIZES[kind])), flip=False, seed=0)


def with_person(scene: Scene, **changes) -> Scene:
    """The scene with changes of its first person."""
    return replace(scene, people=(replace(scene.people[0], **changes), *scene.people[1:]))


def with_thing(scene: Scene, number: int, thing: Thing | None) -> Scene:
    """The scene with another thing in the place of thing `number`, or without it."""
    things = scene.things[:number] + (() if thing is None else (thing,)) + scene.things[number + 1 :]
    return replace(scene, things=things)


def movable(scene: Scene) -> list[int]:
    """Numbers of the things that nobody sits on."""
    return [n for n, t in enumerate(scene.things) if not (t.kind == "box" and t.size == SEAT_HEIGHT)]


def _other(rng: np.random.Generator, options, current: str) -> str:
    return str(rng.choice([option for option in options if option != current]))


def _thing_colour(scene: Scene, rng: np.random.Generator):
    number = int(rng.integers(len(scene.things)))
    thing = scene.things[number]
    colour = _other(rng, COLOURS, thing.colour)
    words = {"noun": thing.kind, "old": thing.colour, "colour": colour}
    after = with_thing(scene, number, replace(thing, colour=colour))
    return after, words, (thing.kind, f"thing {number}")


def _clothes_colour(scene: Scene, rng: np.random.Generator):
    noun = str(rng.choice(CLOTHES))
    person = scene.people[0]
    old = getattr(person, noun)
    if noun == "trousers" and person.odd_leg:
        return None
    colour = _other(rng, COLOURS, old)
    return (
        with_person(scene, **{noun: colour}),
        {"noun": noun, "old": old, "colour": colour},
        (
            noun,
            "person 0",
        ),
    )


def _add(scene: Scene, rng: np.random.Generator):
    kind = _other(rng, [kind for kind in THINGS if kind not in {t.kind for t in scene.things}], "")
    side = str(rng.choice(["left", "right"]))
    across = -0.75 if side == "left" else 0.75
    if any(abs(thing.place[0] - across) < 0.45 for thing in scene.things):
        return None
    colour = str(rng.choice(list(COLOURS)))
    deep = -1.2 if kind in ("tree", "umbrella") else 0.1
    thing = standard_thing(kind, colour, (across, deep))
    after = replace(scene, things=(*scene.things, thing))
    words = {"noun": kind, "colour": colour, "side": side}
    return after, words, (kind, f"thing {len(scene.things)}")


def _movable_thing(scene: Scene, rng: np.random.Generator) -> int | None:
    numbers = movable(scene)
    return int(rng.choice(numbers)) if numbers else None


def _remove(scene: Scene, rng: np.random.Generator):
    number = _movable_thing(scene, rng)
    if number is None:
        return None
    thing = scene.things[number]
    words = {"noun": thing.kind, "old": thing.colour}
    return with_thing(scene, number, None), words, (thing.kind, f"thing {number}")


def _exchange(scene: Scene, rng: np.random.Generator):
    number = _movable_thing(scene, rng)
    if number is None:
        return None
    thing = scene.things[number]
    kind = _other(rng, [kind for kind in THINGS if kind not in {t.kind for t in scene.things}], "")
    colour = str(rng.choice(list(COLOURS)))
    words = {"noun": kind, "colour": colour, "old": thing.colour, "old_noun": thing.kind}
    after = with_thing(scene, number, standard_thing(kind, colour, thing.place))
    return after, words, (thing.kind, f"thing {number}")


def _ground(scene: Scene, rng: np.random.Generator):
    ground = _other(rng, GROUNDS, scene.ground)
    return replace(scene, ground=ground), {"noun": ground, "old_noun": scene.ground}, (ground, "ground")


def _backdrop(scene: Scene, rng: np.random.Generator):
    wall = _other(rng, COLOURS, scene.wall)
    if scene.backdrop == "wall" and rng.random() < 0.5:
        return replace(scene, backdrop="sky"), {"what": "the sky", "old": "the wall"}, ("sky", "backdrop")
    words = {
        "what": f"{'an' if wall[0] in 'aeiou' else 'a'} {wall} wall",
        "old": f"the {scene.backdrop}",
        "colour": wall,
        "noun": "wall",
    }
    return replace(scene, backdrop="wall", wall=wall), words, ("wall", "backdrop")


def _motion(scene: Scene, rng: np.random.Generator):
    person = scene.people[0]
    if person.motion == "sit":
        return None
    motion = _other(rng, MOTIONS, person.motion)
    after = replace(scene, people=(standard_pose(person, motion), *scene.people[1:]))
    words = {"motion": MOTION_WORDS[motion][0], "old": MOTION_WORDS[person.motion][0]}
    return after, words, ("person", "person 0")


DRAWERS: dict[str, Callable] = {
    "thing colour": _thing_colour,
    "clothes colour": _clothes_colour,
    "add": _add,
    "remove": _remove,
    "exchange": _exchange,
    "ground": _ground,
    "backdrop": _backdrop,
    "motion": _motion,
}
"""Kind -> what draws (scene after, words, attribute), or None where this scene has no such edit."""
