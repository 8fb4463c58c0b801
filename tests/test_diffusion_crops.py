import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from kp_helpers.diffusion import vision


def _picture(height=32, width=32, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def _as_pil(image):
    return Image.fromarray((image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))


@pytest.mark.parametrize(("larger", "rim", "near"), [(1, 0, 0.5), (4, 4, 2)])
def test_a_window_is_pils_crop(larger, rim, near):
    """Enlarged, inside of it: at its rim PIL knows nothing beyond the crop, and the window does."""
    image, (x, y, n) = _picture(), (5, 12, 8)
    centre = torch.tensor([[(x + n / 2) / 32, (y + n / 2) / 32]])
    found = vision.crop(image[None], centre, n / 32, larger * n)[0].permute(1, 2, 0).numpy()
    cut = _as_pil(image).crop((x, y, x + n, y + n)).resize((larger * n,) * 2, Image.Resampling.BILINEAR)
    inside = slice(rim, larger * n - rim)
    assert np.abs(found - np.asarray(cut) / 255)[inside, inside].max() < near / 255 + 1e-6


def test_what_lies_outside_the_image_is_zero():
    found = vision.crop(torch.ones(1, 3, 16, 16), torch.tensor([[0.0, 0.5]]), 0.5, 8)[0]
    assert (found[:, :, :4] == 0).all() and (found[:, :, 4:] == 1).all()


def test_each_picture_has_a_centre_and_a_side_of_its_own():
    images = torch.stack([_picture(seed=s) for s in (1, 2)])
    centres, sides = torch.tensor([[0.5, 0.25], [0.25, 0.75]]), torch.tensor([0.5, 0.25])
    found = vision.crop(images, centres, sides, 8)
    for n in range(2):
        alone = vision.crop(images[n : n + 1], centres[n : n + 1], float(sides[n]), 8)
        assert torch.equal(found[n], alone[0])


def test_the_gradient_of_the_centre_against_differences():
    images = _picture(12, 12).double()[None]
    centre = torch.tensor([[0.413, 0.587]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda at: vision.crop(images, at, 0.4, 5), centre)


def test_told_apart_is_scikit_learns_area_for_every_pair():
    generator = torch.Generator().manual_seed(0)
    # whole numbers, whose products have no rounding that could break the tie
    joint = torch.randint(-9, 9, (4, 6), generator=generator).float()
    others = torch.randint(-9, 9, (4, 5, 6), generator=generator).float()
    others[1, 2] = joint[1]  # a tie
    found = vision.told_apart(joint, others)
    for a in range(4):
        for b in range(4):
            alike = [float(joint[a] @ v) for v in (joint[b], *others[b])]
            if a == b:
                assert found[a, b].isnan()
            else:
                assert found[a, b].item() == pytest.approx(roc_auc_score([1] + [0] * 5, alike))


def test_wrong_input_is_named():
    images = torch.zeros(2, 3, 8, 8)
    with pytest.raises(ValueError, match=r"crop: centres have shape \(1, 2\), expected \(2, 2\)"):
        vision.crop(images, torch.zeros(1, 2), 0.5, 4)
    with pytest.raises(ValueError, match="crop: side is 0, expected a fraction of the image above 0"):
        vision.crop(images, torch.zeros(2, 2), torch.tensor([0.5, 0.0]), 4)
    with pytest.raises(
        ValueError, match=r"shapes \(2, 3\) and \(3, 4, 3\), expected \(P, D\) and \(P, K, D\)"
    ):
        vision.told_apart(torch.zeros(2, 3), torch.zeros(3, 4, 3))
