"""The paper's numbers [S], the names of the measures that claims are about, and the words of verdicts."""

HOLDS, FAILS, OPEN, UNTESTABLE = "holds", "does not hold", "cannot be told", "not testable here"
"""The verdicts. The last: on this model and these data the claim could not have failed, or not have held."""
MEASURES = {"in_direction": "in a meaningful direction", "within": "within 1/48 of the frame"}
"""The two shares of hits that the paper reports: column of `evaluate.score` -> name."""
EXACT = MEASURES["within"]
AREA = "AUC of PCK to 0.2 of the box"
"""The two measures by which claims are decided."""
PAPER = {
    ("left_foot", 5): {"in_direction": (26.25, 18.06), "within": (17.50, 15.86)},
    ("left_foot", 20): {"in_direction": (21.00, 27.89), "within": (14.00, 15.72)},
    ("head", 20): {"in_direction": (12.00, 16.85), "within": (9.00, 15.94)},
    ("left_elbow", 20): {"within": (0.00, None)},
}
"""(joint, training images) -> measure -> mean and standard deviation over runs, in percent, on 3DPW [S]."""
PAPER_PICTURES = 10
"""Test pictures of each of the paper's runs [S]."""


def paper_spread(joint: str, train_images: int, measure: str) -> float | None:
    """The standard deviation of the hit probabilities of the paper's runs, as a share.

    Of the variance of its runs' shares of hits, that which ten pictures a run have by chance is taken. None
    where the paper has no such number.
    """
    share, sd = PAPER.get((joint, train_images), {}).get(measure, (0.0, None))
    if sd is None:
        return None
    share, sd = share / 100, sd / 100
    return max(0.0, sd**2 - share * (1 - share) / PAPER_PICTURES) ** 0.5
