"""Data sets as sequences of `KeypointSample`: `ThreeDPW` reads 3DPW and what is exported in its layout."""

from kp_helpers.data.draw import draw, split
from kp_helpers.data.errors import DataError
from kp_helpers.data.sample import KeypointSample
from kp_helpers.data.threedpw import ThreeDPW

__all__ = ["DataError", "KeypointSample", "ThreeDPW", "draw", "split"]
