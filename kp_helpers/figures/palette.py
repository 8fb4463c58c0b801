"""The eleven named colours of the figures world and the tones that skin takes."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (38, 36, 40),
    "white": (240, 240, 236),
    "gray": (140, 142, 146),
    "red": (212, 42, 44),
    "green": (44, 158, 70),
    "blue": (44, 90, 210),
    "yellow": (244, 210, 50),
    "orange": (242, 134, 34),
    "purple": (132, 58, 170),
    "pink": (246, 140, 184),
    "brown": (122, 76, 42),
}
"""RGB in 0..255 of every colour word."""

SKIN_TONES: dict[str, tuple[int, int, int]] = {
    "black": (82, 56, 44),
    "brown": (138, 94, 66),
    "orange": (198, 140, 98),
    "yellow": (228, 190, 146),
    "pink": (244, 200, 180),
    "white": (250, 228, 214),
}
"""Skin drawn under these words is a natural tone; under any other it is the colour itself."""

GROUNDS: dict[str, tuple[str, tuple[int, int, int]]] = {
    "grass": ("green", (104, 162, 80)),
    "sand": ("yellow", (222, 200, 148)),
    "road": ("gray", (112, 112, 118)),
    "water": ("blue", (84, 146, 190)),
}
"""Each ground with its colour word and its RGB, duller than a thing of that colour."""

SKY: tuple[str, tuple[int, int, int]] = ("blue", (168, 206, 238))


def skin_tone(colour: str) -> tuple[int, int, int]:
    """RGB in 0..255 of skin called `colour`."""
    return SKIN_TONES.get(colour, COLOURS[colour])


def wall_tone(colour: str) -> tuple[int, int, int]:
    """RGB of a wall called `colour`: washed out, so that a thing of the same colour stands out."""
    return tuple(int(0.45 * channel + 0.55 * 205) for channel in COLOURS[colour])
