"""The protocol's designs: 8 runs with 5 labelled images and 10 with 20 are two of them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kp_helpers.config import ConfigError, Protocol
from kp_helpers.evaluate.protocol import Found
from kp_helpers.evaluate.scores import Measured

_DESIGN = re.compile(r"([1-9]\d*)x([1-9]\d*)(?::(\w+(?:\+\w+)*))?")


@dataclass(frozen=True)
class Design:
    """So many runs with so many labelled images, of these joints.

    suffix: what the names of methods end in, empty for the first design, so that its rows are the protocol's.
    """

    protocol: Protocol
    joints: tuple[str, ...]
    suffix: str = ""

    def named(self, method: str) -> str:
        """The method's name in the results of this design."""
        return method + self.suffix

    def renamed(self, results: Iterable[Found | Measured]) -> list[Found | Measured]:
        """The same predictions or numbers under the names of this design."""
        return [replace(one, method=self.named(one.method)) for one in results]


def designs(text: str, protocol: Protocol, joints: Sequence[str]) -> list[Design]:
    """The designs that a text such as "5x8,20x10" names: 8 runs with 5 labelled images, then 10 with 20.

    "20x4:left_foot+head" is for these joints only, which must be among `joints`; all other settings are the
    protocol's. A run sees the same test images in all designs where no sequence is in both sets, and fewer
    labelled images are the beginning of more. ConfigError for a text that is none, a number of images that is
    there twice, or an unknown joint.
    """
    found: list[Design] = []
    for part in (part.strip() for part in text.split(",")):
        match = _DESIGN.fullmatch(part)
        if not match:
            raise ConfigError(f"designs: {part!r} is no design, expected images x runs, such as '5x8'")
        images, runs = int(match[1]), int(match[2])
        own = tuple(match[3].split("+")) if match[3] else tuple(joints)
        for joint in own:
            if joint not in joints:
                raise ConfigError(f"designs: {part!r} names {joint!r}, expected one of {', '.join(joints)}")
        if images in [one.protocol.train_images for one in found]:
            raise ConfigError(f"designs: {part!r} has {images} images like one before, expected them once")
        suffix = f", training images {images}" if found else ""
        found.append(Design(protocol.replace(train_images=images, runs=runs), own, suffix))
    return found
