"""The claims that the kit asks about, and where the verdict on each stands: the list is `claims.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

PROTOCOL, WEIGHTS = "08_evaluate_3dpw", "07_ablation_loss_weights_and_steps"
LISTS = {
    "paper": "In-context keypoints: what the paper claims",
    "stablekeypoints": "StableKeypoints: what its paper claims",
    "kit": "The kit's own findings",
}
"""The lists, which are never mixed, with their titles."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim. id: of its rows in `verdicts.csv` of the runs of `notebook`, and its anchor on the page.

    list: of `LISTS`. title: the claim. paper: what the paper says of it. figure: of the run's `figures`.
    notebook and figure are empty for a claim that none measures.
    """

    id: str
    list: str
    title: str
    paper: str = ""
    notebook: str = ""
    figure: str = ""


def read_claims(path: Path) -> tuple[Claim, ...]:
    """The claims of a TOML file; TypeError where one has a field that a claim has not, or lacks one."""
    return tuple(Claim(**one) for one in tomllib.loads(path.read_text(encoding="utf-8"))["claims"])


CLAIMS = read_claims(Path(__file__).with_name("claims.toml"))
"""All claims, in the order of the page."""


def list_of(notebook: str, claim: str) -> str:
    """The list of a claim that a notebook decides; ValueError for one that is not in `claims.toml`."""
    for one in CLAIMS:
        if (one.notebook, one.id) == (notebook, claim):
            return one.list
    raise ValueError(f"{notebook} decides {claim!r}, expected the id of a claim of this notebook in claims.toml")
