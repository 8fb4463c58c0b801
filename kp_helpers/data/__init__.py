"""Data sets as sequences of `KeypointSample`: 3DPW, what is exported in its layout, folders of pictures."""

from kp_helpers.data.coco import write_coco
from kp_helpers.data.cut_out import cut_out
from kp_helpers.data.draw import draw
from kp_helpers.data.errors import DataError
from kp_helpers.data.folder import ImageFolder
from kp_helpers.data.labels import write_table
from kp_helpers.data.sample import KeypointSample, Samples
from kp_helpers.data.threedpw import ThreeDPW
