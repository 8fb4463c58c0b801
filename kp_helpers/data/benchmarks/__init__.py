"""The five sets that StableKeypoints is measured on, each read from its published layout.

Positions are in pixels of the file's image, as everywhere in the kit; the framing "squash" gives the
published [0,1] of the squashed square, as (x, y) and not (row, column). Images are in [0,1], scaled once. The
order of samples is fixed, and each has its image's name. The measures are in `metrics.stable_keypoints`.
"""

from kp_helpers.data.benchmarks.celeba import CelebA
from kp_helpers.data.benchmarks.cub import CUBAligned, CUBParts
from kp_helpers.data.benchmarks.deepfashion import DeepFashion
from kp_helpers.data.benchmarks.human36m import Human36M
from kp_helpers.data.benchmarks.human36m_unaligned import Human36MUnaligned
from kp_helpers.data.benchmarks.taichi import TaiChi
