"""Fault 71: what opens a page for a person listens on this machine only, and asks for its token."""

import re
import subprocess

import pytest
from helpers.tiny_sweep import ROOT
from jupyter_server.auth.identity import IdentityProvider


@pytest.mark.parametrize("target", ["lab", "app"])
def test_71_a_launcher_binds_localhost_and_keeps_the_token(target):
    done = subprocess.run(["make", target, "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    (line,) = [line for line in done.stdout.splitlines() if re.search(r"bin/(jupyter lab|voila) ", line)]
    assert re.search(r"--(Voila\.)?ip=127\.0\.0\.1\b", line)
    assert not re.search(r"0\.0\.0\.0|allow-root|token=|password|disable_check_xsrf|allow_origin", line)
    assert target == "lab" or " --token " in line, "Voila asks for none unless it is told to"


def test_71_the_token_that_a_launcher_does_not_name_is_a_random_one():
    tokens = {IdentityProvider().token for _ in range(2)}
    assert len(tokens) == 2 and all(len(token) >= 32 for token in tokens)
