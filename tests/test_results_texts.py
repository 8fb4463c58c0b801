"""The tables of the texts are written between their markers, from reference runs alone, as inert Markdown."""

import io
from pathlib import Path

import pytest
from helpers.results_folder import MACHINE, PROTOCOL, TARGET, hit, save, verdict
from PIL import Image

from kp_helpers.metrics.paper import HOLDS
from kp_helpers.results import ResultsError
from kp_helpers.results.__main__ import main
from kp_helpers.results.claims import answers_of
from kp_helpers.results.listing import PICTURES
from kp_helpers.results.pages import COMMAND, blocks_of, filled, markdown, write_texts
from kp_helpers.results.tables import Table

ROOT = Path(__file__).parents[1]
PAPER = {"paper": 17.5, "paper_sd": 15.86, "source": "paper's, on 3DPW, 5 training images"}
BLANK = {
    name: "".join(
        f"before {block}\n<!-- begin {block}: {COMMAND} -->\nlast time\n<!-- end {block} -->\n"
        for block in blocks
    )
    for name, blocks in blocks_of([], answers_of([])).items()
}


@pytest.fixture
def folders(tmp_path):
    """Results with a reference run and a user's own, and texts with their markers."""
    names = [
        f"left_foot, {method}: within 1/48 of the frame"
        for method in ("appended, x mode", "unsupervised keypoint")
    ]
    rows = [hit(names[0], 31.25, **PAPER), hit(names[1], 20.0)]
    facts = {"machine": MACHINE, "minutes": 3.0, "command": "python -m kp_helpers.reproduce a | b"}
    save(tmp_path / "results", PROTOCOL, "reference-a", metrics=rows, **facts)
    save(tmp_path / "results", PROTOCOL, "mine", metrics=[hit(names[0], 99.0, n=900, **PAPER)])
    claim = verdict("cauchy", HOLDS, 1.0, -1.0, 3.0, 0.5)
    save(tmp_path / "results", TARGET, "mine", verdicts=[claim])
    (tmp_path / "docs").mkdir()
    for name, text in BLANK.items():
        (tmp_path / name).write_text(text)
    return tmp_path / "results", tmp_path


def test_the_readmes_table_is_that_of_the_reference_run(folders):
    write_texts(*folders)
    text = (folders[1] / "README.md").read_text()
    assert "| left foot | 31 [10, 50] | 20 |  |  |" in text and "99.0" not in text
    assert "Measured on the synthetic figures world with the model figures" in text
    assert text.startswith("before hits\n") and "last time" not in text
    counts = (folders[1] / "REPRODUCING.md").read_text()
    assert "| claims | holds | does not hold | cannot be told | not testable here | not measured |" in counts
    assert "| StableKeypoints: what its paper claims | 0 | 0 | 0 | 0 | 6 |" in counts


def test_each_notebook_has_a_line_with_what_its_run_took(folders):
    facts = {"minutes": 2.5, "memory_gb": 1.234, "figures": ("targets", "hits")}
    save(folders[0], TARGET, "reference-a", **facts)
    write_texts(*folders)
    text = (folders[1] / "README.md").read_text()
    link, picture = f"notebooks/{TARGET}.ipynb", f"results/{TARGET}/reference-a/figures/targets.png"
    assert f'| [<img src="{picture}" width="160" alt="targets">]({link}) | [`04`]({link}) The target' in text
    assert "narrow or wide | 2.5 | 1.2 |" in text
    assert "[`05`](notebooks/05_ablation_embedding_size.ipynb) The size of" in text
    assert set(PICTURES) == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_what_no_reference_run_says_stays_unsaid(folders):
    write_texts(*folders)
    text = (folders[1] / "REPRODUCING.md").read_text()
    assert "| cauchy | A Cauchy target is no better than the Gaussian | not measured |  |  |" in text
    times = (folders[1] / "docs" / "times.md").read_text()
    assert "notebooks of reference-a" not in times and "On a GPU: steps alone" in times
    assert "| `python -m kp_helpers.reproduce a \\| b` | 3.0 |  | 2 x Some Processor |" in times
    assert (
        "| 17.50 ± 15.86 | 31.2 ± 12.0 [10, 50] | 80 | cannot be told | 08_evaluate_3dpw/reference-a" in text
    )
    before = text
    write_texts(*folders)
    assert (folders[1] / "REPRODUCING.md").read_text() == before


def test_times_are_added_and_those_on_a_gpu_are_named(folders):
    facts = {"machine": {**MACHINE, "gpu": "Some GPU"}, "minutes": 2.5}
    save(folders[0], TARGET, "reference-a", **facts)
    write_texts(*folders)
    text = (folders[1] / "docs" / "times.md").read_text()
    assert "All 2 notebooks of reference-a: 6 minutes, one after the other." in text
    assert "| 2.5 |  | 2 x Some Processor, Some GPU |" in text and "On a GPU" not in text


def test_a_users_own_damaged_run_is_no_matter_of_the_texts(folders):
    (folders[0] / TARGET / "mine" / "metrics.json").write_text("[")
    assert len(write_texts(*folders)) == len(BLANK)


def test_all_comparisons_of_reference_runs_are_in_one_picture(folders):
    write_texts(*folders)
    empty = (folders[0] / "claims.png").read_bytes()
    rows = [verdict("cauchy", HOLDS, 1.0, -1.0, 3.0), verdict("sigma", HOLDS, 1.0, -1.0, 3.0)]
    save(folders[0], TARGET, "reference-a", verdicts=rows)
    write_texts(*folders)
    with Image.open(folders[0] / "claims.png") as image, Image.open(io.BytesIO(empty)) as before:
        assert image.size[0] > 500 and image.size[1] > before.size[1], "a row for each"


def test_a_damaged_reference_run_and_a_lost_marker_are_named(folders, capsys):
    results, root = folders
    (root / "docs" / "times.md").write_text(BLANK["docs/times.md"].replace("<!-- end times -->", ""))
    assert main(["readme", str(results), "--texts", str(root)]) == 1
    assert f"docs/times.md: expected one line '<!-- begin times: {COMMAND} -->'" in capsys.readouterr().err
    (results / PROTOCOL / "reference-a" / "metrics.json").write_text("[")
    assert main(["readme", str(results), "--texts", str(root)]) == 1
    assert "08_evaluate_3dpw/reference-a: metrics.json" in capsys.readouterr().err
    assert "last time" in (root / "README.md").read_text(), "nothing is written"


def test_the_command_says_what_it_wrote(folders, capsys):
    assert main(["readme", str(folders[0]), "--texts", str(folders[1])]) == 0
    assert (
        capsys.readouterr().out == "wrote the tables of README.md, REPRODUCING.md, deviations.md, times.md\n"
    )
    assert main(["readme", str(folders[1] / "none")]) == 2


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "<!-- begin x -->",
        f"<!-- end x --> <!-- begin x: {COMMAND} -->",
        2 * f"<!-- begin x: {COMMAND} --><!-- end x -->",
    ],
)
def test_markers_that_are_no_pair_are_refused(text):
    with pytest.raises(ResultsError, match="T.md: expected one line"):
        filled(text, "x", "", "T.md")


def test_cells_hold_no_markup():
    cells = ("<script>", "a|b", "[x](javascript:1)", "*a* `b`", "a\nb", "python -m a `b`|c")
    *_, line = markdown(Table(("h",) * 6, (cells,))).splitlines()
    assert line == (
        r"| &lt;script&gt; | a\|b | [x]\(javascript:1) | \*a\* \`b\` | a b | `python -m a b\|c` |"
    )
