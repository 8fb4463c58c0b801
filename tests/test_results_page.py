"""The page shows claims and runs as they were saved, and runs nothing of what is in their names."""

import csv
import re
from html.parser import HTMLParser

import pytest
from helpers.results_folder import MACHINE, PROTOCOL, TARGET, WEIGHTS, hit, save, verdict

from kp_helpers.metrics.paper import FAILS, HOLDS, OPEN
from kp_helpers.results import Metric
from kp_helpers.results.__main__ import main
from kp_helpers.results.claims import CLAIMS

SCRIPT = "<script>alert(1)</script>"
NAME = "left_foot, appended, readout mode: in a meaningful direction"


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and which of them are not closed."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "line"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        self.words.append(data)


def fill(root):
    rows = [verdict("cauchy", HOLDS, 1.25, -3.0, 5.5, 0.5), verdict("cauchy", FAILS, 9.0, 2.0, 16.0, 0.01)]
    save(root, TARGET, "quick", verdicts=rows, figures=["hits"], metrics=[hit("x", 1.0)])
    save(root, TARGET, "old", verdicts=[verdict("cauchy", OPEN)])
    lucky = verdict("lucky", HOLDS)
    save(root, WEIGHTS, "real", verdicts=[lucky, verdict(f"stray {SCRIPT}", OPEN)], kind="3DPW")
    paper = {"paper": 26.25, "paper_sd": 18.06, "source": "paper's, on 3DPW, 5 training images"}
    rows = [hit(NAME, 31.25, **paper), Metric(name=f"no one seen {SCRIPT}", value=None, n=0)]
    facts = {"machine": MACHINE, "minutes": 3.0, "command": f"python -m x {SCRIPT}"}
    save(root, PROTOCOL, "quick", metrics=rows, figures=["points"], **facts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    fill(root)
    assert main(["index", str(root)]) == 0
    return root


@pytest.fixture(scope="module")
def text(folder) -> str:
    return (folder / "index.html").read_text()


def card(text: str, name: str) -> str:
    return re.search(rf'<article id="{name}".*?</article>', text, re.DOTALL)[0]


def test_the_page_is_whole_and_nothing_in_it_runs(text):
    page = Page(text)
    assert not page.open
    kinds = {tag for tag, _ in page.tags}
    assert not kinds & {"script", "iframe", "object", "link"} and "img" in kinds
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert SCRIPT not in text and "&lt;script&gt;alert(1)" in text and "stray &lt;script&gt;" in text
    assert "http" not in text and 'name="viewport"' in text and "prefers-color-scheme: dark" in text


def test_every_claim_has_its_place_and_its_verdict(text):
    for claim in CLAIMS:
        assert card(text, claim.id) and f'href="#{claim.id}"' in text
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"] for _, attributes in page.tags if "href" in attributes}
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_files_that_are_linked_and_shown_are_there(folder, text):
    for _, attributes in Page(text).tags:
        for address in (attributes.get("href", "#"), attributes.get("src", "#")):
            assert address.startswith("#") or (folder / address).is_file(), address


def test_a_claim_shows_what_was_saved(text):
    cauchy = card(text, "cauchy")
    assert cauchy.index("✗") < cauchy.index("on figures, not on 3DPW") < cauchy.index("✓")
    assert "+1.2 [-3.0, +5.5], p 0.50, n 80 in 8 runs" in cauchy and "+9.0 [+2.0, +16.0], p 0.01" in cauchy
    assert 'src="04_ablation_target/quick/figures/hits.png"' in cauchy
    assert "the synthetic figures world with the model figures, read-out mode" in cauchy
    assert f'href="{TARGET}/quick/verdicts.csv">verdicts.csv</a>, rows 1, 2' in cauchy
    assert "other runs" in cauchy and f"{TARGET}/old" in cauchy
    lucky = card(text, "lucky")
    assert "on figures" not in lucky and "Measured on 3DPW with the model sd15" in lucky
    assert "not measured" in card(text, "five-twenty") and "<img" not in card(text, "five-twenty")


def test_an_interval_is_drawn_where_it_is(text):
    bar = re.search(r'class="bar" x1="([-\d.]+)" x2="([-\d.]+)"', card(text, "cauchy"))
    assert (float(bar[1]), float(bar[2])) == (-3.0, 5.5)


def test_the_papers_numbers_stand_beside_ours(text):
    row = "<td>26.25 ± 18.06</td><td>31.2 ± 12.0 [10, 50]</td><td>80</td><td>cannot be told</td>"
    assert row in text and text.count("<td>not measured</td>") == 6
    assert "<td>3.0</td><td></td><td>2 x Some Processor</td>" in text


def test_the_summary_has_all_numbers(folder):
    rows = list(csv.DictReader((folder / "summary.csv").open()))
    assert [(row["notebook"], row["run"], row["data"], row["n"]) for row in rows] == [
        (TARGET, "quick", "figures", "80"),
        (PROTOCOL, "quick", "figures", "80"),
        (PROTOCOL, "quick", "figures", "0"),
    ]
    assert (rows[1]["interval_low"], rows[1]["value"], rows[2]["value"]) == ("10.0", "31.25", "")
    assert rows[1]["paper"] == "26.25"


def test_each_run_has_a_text_of_its_own(folder):
    text = (folder / PROTOCOL / "quick" / "README.md").read_text()
    assert text.startswith(f"# {PROTOCOL}/quick\n") and "![points](figures/points.png)" in text
    assert f"| {NAME} |  | 80 | 31.25 % | 12 | 10 to 50 | 26.25 % (SD 18.06) | paper's, on 3DPW" in text
    assert "<script" not in text and "&lt;script" in text


def test_equal_runs_give_equal_files(folder, tmp_path):
    fill(tmp_path)
    main(["index", str(tmp_path)])
    for name in ("index.html", "summary.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    main(["index", str(tmp_path)])
    assert (tmp_path / "index.html").read_bytes() == (folder / "index.html").read_bytes()


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '[{"name": "x"}]', '[{"name": "x", "value": "<b>", "n": 1}]', "[[]]"]
)
def test_a_damaged_run_is_named_and_the_others_shown(content, tmp_path, capsys):
    save(tmp_path, TARGET, "quick")
    (save(tmp_path, TARGET, "bad") / "metrics.json").write_text(content)
    assert main(["index", str(tmp_path)]) == 1
    assert f"{TARGET}/bad: metrics.json, config.json or verdicts.csv" in capsys.readouterr().out
    page = (tmp_path / "index.html").read_text()
    assert f'id="{TARGET}/quick"' in page and 'class="damaged"' in page and not Page(page).open


def test_folders_made_by_hand_cannot_break_out_of_the_page(tmp_path):
    evil = save(tmp_path, TARGET, "quick", verdicts=[verdict("cauchy", HOLDS)], figures=["hits"])
    evil.rename(evil.parent / '"><img src=x onerror=alert(1)>')
    (evil.parent / ".quick.partial").mkdir()
    assert main(["index", str(tmp_path)]) == 0
    page = (tmp_path / "index.html").read_text()
    assert "<img src=x" not in page and "&lt;img src=x onerror" in page and not Page(page).open
    assert not [a for _, a in Page(page).tags if "onerror" in a]


def test_an_empty_or_missing_folder(tmp_path, capsys):
    assert main(["index", str(tmp_path)]) == 0
    page = (tmp_path / "index.html").read_text()
    assert "No run yet" in page and page.count("not measured") > len(CLAIMS)
    assert main(["index", str(tmp_path / "none")]) == 2
    assert "none is no folder" in capsys.readouterr().err
