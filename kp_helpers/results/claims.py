"""The claims that the kit asks about, and where the verdict on each stands: the list is `claims.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

PROTOCOL, WEIGHTS = "08_evaluate_3dpw", "07_ablation_loss_weights_and_steps"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim. name: its anchor on the page; title: the claim; paper: what J. Schofield's paper says of it.

    texts: the claim's rows, by the column `claim` of `verdicts.csv` in the runs of `notebook`. grid: they
    follow the run's own grid, so that a text that is not there was not asked. whole: only runs of profile
    `paper` ask it. figure: of the run's `figures`.
    paper is empty for the kit's own question, and notebook for a claim that none measures.
    """

    group: str
    name: str
    title: str
    paper: str = ""
    notebook: str = ""
    texts: tuple[str, ...] = ()
    grid: bool = False
    whole: bool = False
    figure: str = ""


def read_claims(path: Path) -> tuple[Claim, ...]:
    """The claims of a TOML file; TypeError where one has a field that a claim has not, or lacks one."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))["claims"]
    return tuple(Claim(**{**one, "texts": tuple(one.get("texts", ()))}) for one in found)


CLAIMS = read_claims(Path(__file__).with_name("claims.toml"))
"""All claims, in the order of the page."""
