"""What is looked at again and again is what a test reads once."""

import pytest
import torch
import torch.nn.functional as F

from kp_helpers import embeddings, reading
from kp_helpers.config import Reading, TestTime
from kp_helpers.embeddings import Appended
from kp_helpers.widgets.watching import Watcher

SETTINGS = TestTime(read_size=32, reading=Reading(map_size=16, timestep=20))


@pytest.mark.parametrize("changes", [{}, {"views": 2}])
def test_it_sees_what_a_test_reads(tiny_sd, changes):
    context = embeddings.initialise(12, tiny_sd.context_width, 5, scale=4.0)
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    appended = Appended(context[:8], context[8:10], mode="readout")
    settings = SETTINGS.replace(**changes)
    found = Watcher(tiny_sd, appended.base, images).look(appended, settings)
    expected = reading.read_appended(tiny_sd, appended, images, settings)
    coarse = F.interpolate(expected[:, None], size=(16, 16), mode="nearest-exact")[:, 0]
    assert torch.allclose(found.maps, coarse, atol=1e-5)
    assert torch.allclose(found.points, reading.read_keypoints(expected, settings), atol=1 / 32)
