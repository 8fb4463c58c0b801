import pytest
import torch

from kp_helpers.embeddings import Appended

BASE, TOKENS, RIVALS = torch.zeros(4, 8), torch.ones(2, 8), torch.full((2, 8), 2.0)


def test_rivals_stand_behind_the_tokens():
    assert torch.equal(Appended(BASE, TOKENS).context, torch.cat([BASE, TOKENS]))
    found = Appended(BASE, TOKENS, rivals=RIVALS)
    assert torch.equal(found.context, torch.cat([BASE, TOKENS, RIVALS]))
    assert torch.equal(found.learned, torch.cat([TOKENS, RIVALS]))
    assert found.tensors() == {"base": BASE, "appended": TOKENS, "rivals": RIVALS}
    assert Appended(BASE, TOKENS).tensors().keys() == {"base", "appended"}


def test_in_the_mirror_the_rivals_find_the_joint():
    found = Appended(BASE, TOKENS, rivals=RIVALS).mirrored
    assert found.tokens is RIVALS and found.rivals is TOKENS
    head = Appended(BASE, TOKENS, midline=True)
    assert head.mirrored is head
    with pytest.raises(ValueError, match="mirror is True, expected False for a joint with neither rivals"):
        _ = Appended(BASE, TOKENS).mirrored


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="mode is 'full', expected one of coupled, readout"):
        Appended(BASE, TOKENS, mode="full")
    with pytest.raises(ValueError, match="readout is 'best' and there are rivals, expected 'sum' or 'mean'"):
        Appended(BASE, TOKENS, "best", 1, rivals=RIVALS)
