"""Captions in varied wording that remember which of their words names what.

No joint is ever named, and no word for one used: clothes, hair, things, grounds, people and whole limbs are.
"""

from dataclasses import dataclass

import numpy as np

from kp_helpers.figures.limb_states import LIMB_WORDS, SIDED_MOTIONS, limb_states
from kp_helpers.figures.palette import GROUNDS, SKY
from kp_helpers.figures.scene import CLOTHES, LIMBS, Person, Scene, Thing
from kp_helpers.figures.skeleton import forward_kinematics

MOTION_WORDS = {
    "walk": ("walking",),
    "run": ("running",),
    "kick": ("kicking",),
    "wave": ("waving",),
    "sit": ("sitting",),
    "throw": ("throwing",),
    "turn": ("turning",),
    "stand": ("standing",),
}
LONGEST = 62
"""Words of the longest caption: the text tower reads 64 tokens, its start and end among them."""
FACING_WORDS = {"front": "from the front", "behind": "from behind", "side": "from the side"}
_WITH_LIMBS = 0.7
"""Share of captions that tell what the limbs do."""
_ROOM_FOR_LIMBS = 42
"""Limbs are told up to this word, so that things and place still find room after them."""
_SECOND_PERSON = 10
"""Words that are kept free for a second person."""


@dataclass(frozen=True)
class Tag:
    """What a caption's word names: the class, limb or person `label` of `entity`.

    `role` is "noun", "colour", or "side" for the "left" of "left arm".
    """

    label: str
    entity: str
    role: str


@dataclass(frozen=True)
class Caption:
    """`words` in order, a comma being a word of its own, and for each its `tags` entry or None.

    Every word is one token of the shipped tokenizer, so word i is token i + 1, behind the start token.
    """

    words: tuple[str, ...]
    tags: tuple[Tag | None, ...]

    @property
    def text(self) -> str:
        """The caption as a line of text."""
        return " ".join(self.words).replace(" ,", ",")

    def tokens_of(self, label: str, entity: str) -> dict[str, int]:
        """Token positions by role ("noun", "colour", "side") of the words that name `label` of `entity`."""
        hits = {
            t.role: i + 1 for i, t in enumerate(self.tags) if t and (t.label, t.entity) == (label, entity)
        }
        return hits


class _Writer:
    def __init__(self, rng: np.random.Generator):
        self.rng, self.words, self.tags = rng, [], []

    def say(self, text: str, tag: Tag | None = None):
        """Add every word of `text`."""
        for word in text.split():
            self.words.append(word)
            self.tags.append(tag)

    def choose(self, *options: str) -> str:
        return options[int(self.rng.integers(len(options)))]

    def listing(self, count: int, speak) -> None:
        """`speak(i)` for each of `count`, with commas and a final "and"."""
        for number in range(count):
            if number:
                self.say("and" if number == count - 1 else ",")
            speak(number)

    def coloured(self, colour: str, noun: str, label: str, entity: str, article: str = "a") -> None:
        """A noun with its colour before it, or now and then behind it."""
        ordered = [(colour, Tag(label, entity, "colour")), (noun, Tag(label, entity, "noun"))]
        turned = self.rng.random() < 0.2
        if turned:
            ordered.reverse()
        if article:
            self.say("an" if article == "a" and ordered[0][0][0] in "aeiou" else article)
        self.say(*ordered[0])
        if turned:
            self.say("in")
        self.say(*ordered[1])

    def limb(self, limb: str, entity: str, article: bool = True) -> None:
        """ "the left arm", with or without its article."""
        side, kind = limb.split()
        if article:
            self.say("the")
        self.say(side, Tag(limb, entity, "side"))
        self.say(kind, Tag(limb, entity, "noun"))

    def caption(self) -> Caption:
        return Caption(tuple(self.words), tuple(self.tags))


def describe(scene: Scene, seed: int, visible: frozenset[tuple[str, str]] | None = None) -> Caption:
    """One caption of `scene`; another `seed` words it otherwise.

    `visible` holds the (label, entity) pairs that the picture really shows; nothing else is named. None
    means that all is shown. About one attribute in eight is left out, as people do; what the limbs do is
    told in seven captions of ten.
    """
    writer = _Writer(np.random.default_rng([seed, scene.seed, 23]))
    clauses = [_things, _place] if writer.rng.random() < 0.6 else [_place, _things]
    limbs = writer.rng.random() < _WITH_LIMBS
    if len(scene.people) > 1:
        writer.say("two people ,")
    for number, person in enumerate(scene.people):
        if number:
            writer.say(", and")
        _person(writer, scene, person, number, visible)
        if limbs:
            _limbs(writer, person, number, scene, visible)
    for clause in clauses:
        before = len(writer.words)
        clause(writer, scene, visible)
        if len(writer.words) > LONGEST:  # two richly dressed people: leave the whole clause out
            del writer.words[before:], writer.tags[before:]
    return writer.caption()


def mention(scene: Scene, seed: int, visible: frozenset[tuple[str, str]]) -> Caption:
    """A short caption as people type one: one to three of the things, parts and limbs that are shown."""
    writer = _Writer(np.random.default_rng([seed, scene.seed, 29]))
    pairs = sorted(pair for pair in visible if pair[0] != "sky")
    if not pairs:
        return writer.caption()
    count = min(len(pairs), int(writer.rng.integers(1, 4)))
    chosen = [pairs[i] for i in writer.rng.choice(len(pairs), count, replace=False)]
    writer.listing(len(chosen), lambda i: _name(writer, scene, *chosen[i]))
    return writer.caption()


def _name(writer: _Writer, scene: Scene, label: str, entity: str) -> None:
    """One thing, part, limb, ground or person, its colour before it in half of the cases."""
    articles = ("", "the") if entity == "ground" else ("", "the", "a")
    article = writer.choose(*articles) if label not in ("hair", "skin", "trousers", "shoes") else ""
    if label in LIMBS:
        writer.limb(label, entity, article != "")
        return
    colour = _colour_of(scene, label, entity)
    if colour and writer.rng.random() < 0.5:
        writer.coloured(colour, label, label, entity, article)
        return
    if article:
        writer.say("an" if article == "a" and label[0] in "aeiou" else article)
    writer.say(label, Tag(label, entity, "noun"))


def _colour_of(scene: Scene, label: str, entity: str) -> str:
    """The colour word of a class of an entity; a person as a whole has none."""
    kind, _, number = entity.partition(" ")
    if kind == "thing":
        return scene.things[int(number)].colour
    if kind == "person":
        return "" if label == "person" else getattr(scene.people[int(number)], label)
    return GROUNDS[label][0] if kind == "ground" else scene.wall


def facing(scene: Scene, person: Person) -> str:
    """ "front", "behind" or "side": where the camera sees `person` from."""
    joints, rotations = forward_kinematics(person.pose, person.place, person.scale)
    eye = -scene.camera.extrinsics[:3, :3].T @ scene.camera.extrinsics[:3, 3] - joints[0]
    ahead = rotations[0][:, 2] * (1, 0, 1)
    eye *= (1, 0, 1)
    cosine = ahead @ eye / (np.linalg.norm(ahead) * np.linalg.norm(eye) + 1e-9)
    return "front" if cosine > 0.64 else "behind" if cosine < -0.64 else "side"


def _shown(visible, label, entity) -> bool:
    return visible is None or (label, entity) in visible


def _person(writer: _Writer, scene: Scene, person: Person, number: int, visible) -> None:
    entity = f"person {number}"
    noun = writer.choose("person", "someone", "person") if not number else "person"
    if noun == "person":
        writer.say("a")
    writer.say(noun, Tag("person", entity, "noun") if _shown(visible, "person", entity) else None)
    named = [label for label in CLOTHES if _shown(visible, label, entity) and writer.rng.random() < 0.88]
    if number:
        named = named[: int(writer.rng.integers(1, 3))]
    if writer.rng.random() < 0.1 and _shown(visible, "skin", entity):
        writer.say("with")
        writer.coloured(person.skin, "skin", "skin", entity, article="")
        writer.say("and" if named and named[0] == "hair" else ",")
    if named and named[0] == "hair":
        writer.say("with")
        writer.coloured(person.hair, "hair", "hair", entity, article="")
        named = named[1:]
    if named:
        writer.say(writer.choose("wearing", "in", "dressed in"))
        writer.rng.shuffle(named)
        articles = {"shirt": "a", "trousers": "", "shoes": ""}
        writer.listing(
            len(named),
            lambda i: writer.coloured(
                getattr(person, named[i]), named[i], named[i], entity, articles[named[i]]
            ),
        )
    writer.say(writer.choose("", "is", ""))
    writer.say(writer.choose(*MOTION_WORDS[person.motion]))
    moved = f"{person.motion_side} {SIDED_MOTIONS.get(person.motion, '')}"
    if moved in LIMBS and _shown(visible, moved, entity) and writer.rng.random() < 0.5:
        writer.say("with")
        writer.limb(moved, entity)
    if writer.rng.random() < 0.85:
        writer.say(writer.choose("seen", "", "viewed"))
        writer.say(FACING_WORDS[facing(scene, person)])


def _limbs(writer: _Writer, person: Person, number: int, scene: Scene, visible) -> None:
    """What the limbs of a person do, both of a pair one after the other; of two people one pair each."""
    entity = f"person {number}"
    told = {tag.label for tag in writer.tags if tag and tag.entity == entity}
    pairs = [[limb for limb in LIMBS if limb.endswith(kind)] for kind in ("arm", "leg")]
    writer.rng.shuffle(pairs)
    states = limb_states(person)
    room = _ROOM_FOR_LIMBS - (_SECOND_PERSON if number + 1 < len(scene.people) else 0)
    for pair in pairs[: 1 if len(scene.people) > 1 else 2]:
        writer.rng.shuffle(pair)
        for limb in pair:
            if limb in told or not _shown(visible, limb, entity):
                continue
            if len(writer.words) >= room or writer.rng.random() < 0.06:
                continue
            writer.say(",")
            _limb(writer, person, entity, str(limb), states[limb])


def _limb(writer: _Writer, person: Person, entity: str, limb: str, state: str) -> None:
    side, kind = limb.split()
    article = writer.rng.random() < 0.5
    odd = side == (person.bare_arm if kind == "arm" else person.odd_leg)
    before, after = LIMB_WORDS[state]
    if before and not odd and writer.rng.random() < 0.5:
        writer.say(before)
        writer.limb(limb, entity, article)
        return
    writer.limb(limb, entity, article)
    if odd and kind == "arm":
        writer.say("bare")
    elif odd:
        writer.say("in")
        writer.say(person.odd_colour, Tag(limb, entity, "colour"))
    else:
        writer.say(after)


def _things(writer: _Writer, scene: Scene, visible) -> None:
    named: list[tuple[str, Thing]] = []
    for number, thing in enumerate(scene.things):
        if _shown(visible, thing.kind, f"thing {number}") and writer.rng.random() < 0.92:
            named.append((f"thing {number}", thing))
    if not named:
        return
    writer.say(writer.choose("beside", "next to", "near", "with"))
    writer.listing(
        len(named),
        lambda i: writer.coloured(named[i][1].colour, named[i][1].kind, named[i][1].kind, named[i][0]),
    )


def _place(writer: _Writer, scene: Scene, visible) -> None:
    if _shown(visible, scene.ground, "ground") and writer.rng.random() < 0.9:
        article = "the " if scene.ground == "road" else writer.choose("", "the ")
        writer.say(f"on {article}".strip())
        if writer.rng.random() < 0.25:
            writer.say(GROUNDS[scene.ground][0], Tag(scene.ground, "ground", "colour"))
        writer.say(scene.ground, Tag(scene.ground, "ground", "noun"))
    if not _shown(visible, scene.backdrop, "backdrop") or writer.rng.random() < 0.12:
        return
    if scene.backdrop == "sky":
        writer.say("under")
        writer.coloured(SKY[0], "sky", "sky", "backdrop", article="the")
    else:
        writer.say(writer.choose("before", "in front of"))
        writer.coloured(scene.wall, "wall", "wall", "backdrop")
