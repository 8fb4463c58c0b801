"""Fault 64: in a batch one of N fails. The jobs do no work; what is tested is Snakemake and the summary."""

from helpers import tiny_sweep

from kp_helpers.notebook.sweeps import plan
from kp_helpers.notebook.sweeps.__main__ import main


def test_64_one_of_several_jobs_fails_and_the_next_start_does_only_that_one(
    tmp_path, tiny_sd, tiny_threedpw, capsys
):
    file = tiny_sweep.make(tmp_path, tiny_sd, tiny_threedpw, seeds=[0])
    names = [job.name for job in plan.read(file)]
    path = tiny_sweep.stub(tmp_path / "stub", fails="head-0-readout")
    process = tiny_sweep.snakemake(tmp_path, "--cores", "2", path=path)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "head-0-readout: FileNotFoundError: no picture" in told
    calls = (path / "calls").read_text().split()
    assert sorted(calls) == sorted([*names, "head-0-readout", "head-0-readout"]), "tried again twice"
    summary = ["--file", str(file), "--results", str(tmp_path / "results"), "summary"]
    assert main(summary) == 1
    assert capsys.readouterr().out == (
        "tiny: 4 jobs, 3 done, 1 failed, 0 outdated, 0 missing\n"
        "  failed   head-0-readout  FileNotFoundError: no picture\n"
    )
    tiny_sweep.stub(path)
    process = tiny_sweep.snakemake(tmp_path, "--cores", "2", path=path)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert (path / "calls").read_text().split()[len(calls) :] == ["head-0-readout"]
    assert main(summary) == 0


def test_91_what_a_killed_snakemake_locked_is_free(tmp_path, tiny_sd, tiny_threedpw):
    """Without the kit's profile Snakemake does refuse, so what is left here is what it leaves behind."""
    file = tiny_sweep.make(tmp_path, tiny_sd, tiny_threedpw, seeds=[0])
    path = tiny_sweep.stub(tmp_path / "stub")
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    outputs = [f"results/{job.folder}/metrics.json" for job in plan.read(file)]
    (locks / "0.output.lock").write_text("".join(f"{output}\n" for output in outputs))
    for options, status in ((), 1), (("--profile", tiny_sweep.ROOT / "profiles" / "local"), 0):
        process = tiny_sweep.snakemake(tmp_path, *options, "--cores", "1", path=path)
        told, _ = process.communicate(timeout=120)
        assert process.returncode == status and ("LockException" in told) == bool(status), told
