"""The benchmarks' own code: what is counted, compared and shown; never how long anything took."""

import json

import pytest
import torch

from benchmarks import attention, cases, growth, measure, memory, report, shapes
from benchmarks.cases import Case
from benchmarks.measure import Cost


def test_operations_of_a_matrix_product_are_counted():
    left, right = torch.ones(7, 5), torch.ones(5, 3)
    for repeats in (0, 2):
        cost = measure.cost(lambda: left @ right, "cpu", repeats)
        assert cost.flops == 2 * 7 * 5 * 3
        assert cost.seconds > 0 and cost.peak_bytes > 10**7


def test_ratios_are_to_the_first_row_of_the_name():
    plain, ours = (
        Case("job", mode, "float32", None, share=share) for mode, share in (("plain", 1), ("x", 0.1))
    )
    rates = {"float32": 1000.0, "bfloat16": None}
    first = attention._row(plain, Cost(8.0, 600, 4000), rates, [])
    other = attention._row(ours, Cost(0.2, 200, 100), rates, [{**first, "name": "another"}, first])
    assert (first["speedup"], first["memory_ratio"], first["rate_share"]) == (1.0, 1.0, 0.5)
    assert other["seconds"] == pytest.approx(2.0)
    assert (other["speedup"], other["memory_ratio"]) == (pytest.approx(4.0), 3.0)
    assert other["rate_share"] == pytest.approx(0.5)


def test_every_job_has_the_form_that_it_is_compared_with_first():
    for shape, first in (("sd15", "plain"), ("figures", "plain")):
        names = {}
        for case in cases.cases(shape, "cpu"):
            names.setdefault(case.name, case.mode)
        assert names["step"] == names["inference"] == first
        assert names["third stage"] == "coupled"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--only", "stepp"], "--only 'stepp' is no job, expected one of: step"),
        (["--device", "cuda"], "--device cuda: no CUDA device here"),
    ],
)
def test_what_cannot_be_timed_is_said(arguments, sentence, tmp_path, capsys):
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    assert attention.main([*arguments, "--json", str(tmp_path / "rows.json")]) == 1
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_step_that_a_gpu_is_asked_can_be_built_on_a_small_shape():
    setup = cases.Setup(shapes.load("small", "cpu"))
    asked = [case for case in cases.cases("small", "cpu") if case.name == "step"]
    assert {case.precision for case in asked} == set(cases.PRECISIONS)
    for case in asked:
        assert callable(case.build(setup))


def test_the_maps_of_a_step_are_counted_by_hand():
    assert growth._maps_bytes(tokens=3, map_size=10, images=2, runs=5) == 4 * (2 * 2 * 5) * 3 * 100


def test_the_page_shows_rows_and_says_what_was_not_measured(tmp_path):
    row = {"name": "step", "precision": "float32", "measured_share": 1.0, "flops": 10**12, "rate_share": 0.5}
    rows = [
        {
            **row,
            "mode": "plain",
            "seconds": 8.0,
            "peak_bytes": 6 * 10**9,
            "speedup": 1.0,
            "memory_ratio": 1.0,
        },
        {
            **row,
            "mode": "coupled",
            "seconds": 2.0,
            "peak_bytes": 3 * 10**9,
            "speedup": 4.0,
            "memory_ratio": 2.0,
        },
    ]
    facts = {"machine": "a machine", "threads": 2, "torch": "2", "matrix_rate": {"float32": 2e11}}
    (tmp_path / "attention-sd15-cpu.json").write_text(json.dumps({**facts, "rows": rows}))
    assert report.main([str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    assert "| step | coupled | float32 | 2 | 3.00 | 1 | 50% | 4.00 | 2.00 |" in page
    assert "matrix rate 200 GFLOP/s" in page
    assert page.count("Not measured") == 2, "the figures model, and all of a GPU"
    assert (tmp_path / "attention-sd15-cpu.png").stat().st_size > 1000


def test_the_page_has_the_memory_of_each_shape(tmp_path):
    row = {"shape": "sd15", "dtype": "float32", "device": "cpu", "weight_bytes": 3_600_000_000}
    rows = [{**row, "job": job, "peak_bytes": peak * 10**8} for job, peak in (("step", 62), ("reading", 55))]
    rows.append({**rows[1], "shape": "sdxl"})
    (tmp_path / "memory.json").write_text(json.dumps(rows))
    assert report.main([str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    assert "| sd15 | float32 | cpu | 3.6 | 5.5 | 6.2 |\n| sdxl | float32 | cpu | 3.6 | 5.5 | nan |" in page


def test_memory_is_measured_in_a_process_of_its_own(tmp_path, capsys):
    path = tmp_path / "memory.json"
    before = {"shape": "figures", "dtype": "bfloat16", "device": "cpu", "job": "reading", "peak_bytes": 0}
    path.write_text(json.dumps([before, {**before, "job": "coupled step"}]))
    arguments = ["--shape", "figures", "--dtype", "bfloat16", "--job", "reading", "--json", str(path)]
    assert memory.main(arguments) == 0
    other, row = json.loads(path.read_text())
    assert other["job"] == "coupled step"
    assert row["job"] == "reading" and 10**7 < row["weight_bytes"] < row["peak_bytes"]


def test_a_job_measured_again_replaces_its_own_rows_only():
    before = [{"name": "a", "n": 1}, {"name": "b", "n": 1}, {"name": "b", "n": 2}]
    rows = attention._merged(before, [{"name": "a", "n": 3}], ["a", "b"])
    assert rows == [{"name": "a", "n": 3}, {"name": "b", "n": 1}, {"name": "b", "n": 2}]
