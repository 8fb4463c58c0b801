"""How an instruction is worded. Every word is one token of the figures world's tokenizer."""

from kp_helpers.figures.palette import COLOURS
from kp_helpers.figures.scene import CLOTHES, THINGS

TEMPLATES: dict[str, tuple[str, ...]] = {
    "thing colour": (
        "make the {noun} {colour}",
        "turn the {old} {noun} into {a_colour} {noun}",
        "paint the {noun} {colour}",
        "change the {noun} to {colour}",
        "make it {a_colour} {noun}",
    ),
    "clothes colour": (
        "make the {noun} {colour}",
        "give the person {some_colour} {noun}",
        "change the {old} {noun} into {some_colour} {noun}",
        "put the person in {some_colour} {noun}",
        "turn the {noun} {colour}",
    ),
    "add": (
        "add {a_colour} {noun} on the {side}",
        "put {a_colour} {noun} on the {side}",
        "put {a_colour} {noun} on the {side} side",
        "add {a_colour} {noun} to the {side}",
    ),
    "remove": (
        "remove the {noun}",
        "remove the {old} {noun}",
        "remove the {noun} from the picture",
        "remove the {old} {noun} from it",
    ),
    "exchange": (
        "replace the {old_noun} by {a_colour} {noun}",
        "turn the {old_noun} into {a_colour} {noun}",
        "change the {old} {old_noun} into {a_colour} {noun}",
        "replace the {old} {old_noun} with {a_colour} {noun}",
    ),
    "ground": (
        "replace the {old_noun} by {noun}",
        "put it on {noun}",
        "turn the {old_noun} into {noun}",
        "change the {old_noun} to {noun}",
    ),
    "backdrop": (
        "replace {old} by {what}",
        "put {what} behind the person",
        "turn {old} into {what}",
        "change {old} to {what}",
    ),
    "motion": (
        "make the person {motion}",
        "change the {old} person into a {motion} person",
        "turn it into a picture of a {motion} person",
        "change {old} to {motion}",
    ),
}
"""Kind of edit -> its wordings, of which the last is kept out of the training."""
_NOUNS = (*THINGS, *CLOTHES, "wall")
_SINGULAR = (*THINGS, "shirt", "wall")


def phrase(template: str, words: dict[str, str]) -> str:
    """A template filled in: `a_colour` and `some_colour` are the colour with its article, if it takes one."""
    colour = words.get("colour", "")
    article = "an" if colour[:1] in "aeiou" else "a"
    filled = dict(words, a_colour=f"{article} {colour}")
    filled["some_colour"] = filled["a_colour"] if words.get("noun") in _SINGULAR else colour
    return template.format(**filled)


def held_out_pair(words: dict[str, str]) -> bool:
    """Whether colour and noun are one of the pairs that no training instruction holds: one colour a noun."""
    if words.get("colour") is None or words.get("noun") not in _NOUNS:
        return False
    return list(COLOURS).index(words["colour"]) == 2 * _NOUNS.index(words["noun"]) % len(COLOURS)
