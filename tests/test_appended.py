import pytest
import torch

from kp_helpers.embeddings import Appended

BASE, TOKENS, RIVALS = torch.zeros(4, 8), torch.ones(2, 8), torch.full((2, 8), 2.0)


def test_tokens_stand_behind_the_base():
    found = Appended(BASE, TOKENS)
    assert torch.equal(found.context, torch.cat([BASE, TOKENS]))
    assert found.tensors() == {"base": BASE, "appended": TOKENS}


def test_in_the_mirror_the_rivals_find_the_joint():
    found = Appended(BASE, TOKENS, "linear", mode="readout", rivals=RIVALS)
    assert found.mirrored.tokens is RIVALS and found.mirrored.rivals is TOKENS
    assert found.tensors() == {"base": BASE, "appended": TOKENS, "rivals": RIVALS}
    with pytest.raises(ValueError, match="mirror is True, expected False: tokens do not know"):
        _ = Appended(BASE, TOKENS).mirrored


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="mode is 'full', expected one of coupled, readout"):
        Appended(BASE, TOKENS, mode="full")
    with pytest.raises(ValueError, match="readout is 'sum' with rivals, expected rivals for 'linear' alone"):
        Appended(BASE, TOKENS, rivals=RIVALS)
    with pytest.raises(ValueError, match="readout is 'linear' with no rivals, expected rivals for 'linear'"):
        Appended(BASE, TOKENS, "linear", mode="readout")
