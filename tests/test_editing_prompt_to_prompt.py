"""Prompt-to-Prompt: alignment and exchange by hand, and runs that must come out as known pictures."""

import pytest
import torch

from kp_helpers import diffusion
from kp_helpers.editing import prompt_to_prompt as p2p

SHORT = {"steps": 2, "guidance": 2.0}


@pytest.fixture(scope="module")
def figures():
    return diffusion.load("figures", "cpu")


@pytest.mark.parametrize(
    ("source", "target", "partners"),
    [
        ("abc", "abc", [0, 1, 2]),
        ("abc", "axc", [0, -1, 2]),
        ("abc", "abxyc", [0, 1, -1, -1, 2]),
        ("abxc", "abc", [0, 1, 3]),
        ("abab", "ab", None),
        ("abc", "xyz", [-1, -1, -1]),
    ],
)
def test_needleman_and_wunsch_by_hand(source, target, partners):
    found = p2p.aligned([ord(s) for s in source], [ord(t) for t in target])
    if partners is not None:
        assert found == partners
    matched = [(s, t) for t, s in enumerate(found) if s >= 0]
    assert all(source[s] == target[t] for s, t in matched) and matched == sorted(matched)


def test_cross_attention_is_mixed_by_the_formula():
    """A* = c [f(A_src) a + A_tgt (1 - a)] with two tokens that change places and one that is new."""
    mapper = torch.tensor([[[0.0, 1, 0], [1, 0, 0], [0, 0, 0]]])
    control = p2p.Control(mapper, torch.tensor([[1.0, 1, 0]]), torch.tensor([[1.0, 2, 1]]))
    source, target = torch.tensor([[[[0.2, 0.3, 0.5]]]]), torch.tensor([[[[0.6, 0.1, 0.3]]]])
    torch.testing.assert_close(control.cross(source, target), torch.tensor([[[[0.3, 0.4, 0.3]]]]))


def test_the_same_caption_twice_is_the_same_picture(figures):
    said = ["a person with a red ball on grass"]
    first, second = p2p.generate_pairs(figures, said, said, p2p.replaced(figures, said, said), **SHORT)
    torch.testing.assert_close(first, second)


def test_without_control_they_are_two_pictures_of_one_noise(figures):
    said, edited = ["a person with a red ball"], ["a person with a blue ball"]
    first, second = p2p.generate_pairs(figures, said, edited, **SHORT)
    alone, _ = p2p.generate_pairs(figures, said, said, **SHORT)
    torch.testing.assert_close(first, alone, atol=1e-4, rtol=1e-4)
    controlled = p2p.generate_pairs(figures, said, edited, p2p.refined(figures, said, edited), **SHORT)[1]
    assert (controlled - first).abs().mean() < (second - first).abs().mean()


def test_replacing_asks_for_as_many_words(figures):
    with pytest.raises(ValueError, match=r"captions of 5 and 6 tokens, expected as many: use refined"):
        p2p.replaced(figures, ["a red ball"], ["a ball in red"])


def test_blending_keeps_the_rest(figures):
    said, edited = ["a person with a red ball"], ["a person with a blue ball"]
    control = p2p.blended(figures, said, edited, p2p.refined(figures, said, edited))
    assert control.blend[0].sum(dim=-1).tolist() == [1, 1], "red, and blue"
    first, second = p2p.generate_pairs(figures, said, edited, control, **SHORT)
    same = (first == second).all(dim=1).float().mean()
    assert 0.05 < same < 1


def test_each_pair_may_hand_self_attention_over_for_a_share_of_its_own(figures):
    said, edited = ["a person with a red ball"] * 2, ["a person with a blue dog"] * 2
    own = p2p.refined(figures, said, edited, self_until=torch.tensor([0.0, 1.0]))
    mixed = p2p.generate_pairs(figures, said, edited, own, **SHORT)[1]
    for row, until in enumerate((0.0, 1.0)):
        control = p2p.refined(figures, said, edited, self_until=until)
        alone = p2p.generate_pairs(figures, said, edited, control, **SHORT)[1]
        torch.testing.assert_close(mixed[row], alone[row], atol=1e-4, rtol=1e-4)
    assert (mixed[0] - alone[0]).abs().max() > 1e-2


def test_a_heavier_word_changes_the_picture(figures):
    said = ["a person with a red ball"]
    control = p2p.replaced(figures, said, said)
    heavier = p2p.reweighted(control, 5, 4.0)
    assert control.scales[0, 5] == 1 and heavier.scales[0, 5] == 4
    first, second = p2p.generate_pairs(figures, said, said, heavier, **SHORT)
    assert (first - second).abs().max() > 1e-3


def test_processors_go_back(figures):
    before = dict(figures.unet.attn_processors)
    p2p.generate_pairs(figures, ["a ball"], ["a dog"], steps=1)
    assert figures.unet.attn_processors == before


def test_an_inverted_picture_comes_back(figures):
    """Unguided, the first of the pair is the picture that was inverted, up to the steps' size."""
    from kp_helpers.editing.pairs import encode
    from kp_helpers.figures.edits import TRAINING, draw_edit, images_of

    edit = draw_edit(TRAINING, "ground")
    latents = encode(figures, images_of([edit], 0))
    start = p2p.inverted(figures, latents, [edit.caption], steps=25)
    back, _ = p2p.generate_pairs(figures, [edit.caption], [edit.caption], start=start, steps=25)
    other, _ = p2p.generate_pairs(figures, [edit.caption], [edit.caption], steps=25)
    assert (back - latents).square().mean() < 0.35 * (other - latents).square().mean()
