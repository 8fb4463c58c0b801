"""The modes of attention side by side: the hits of equal settings, once coupled and once in read-out mode."""

from kp_helpers.results.gathered import Run
from kp_helpers.results.known import AREA, DISC
from kp_helpers.results.tables import Table, spread

def both_modes(runs: list[Run]) -> Table:
    """A row for each hit that a coupled run and one in read-out mode have measured with equal settings.

    Equal are the data, the model, and all settings but the mode and the number of runs. Of several runs in
    read-out mode the one with the most cases stands beside the coupled one.
    """
    rows = []
    for coupled in (run for run in runs if run.mode == "coupled"):
        beside = [run for run in runs if run.mode == "readout" and _alike(coupled, run)]
        own = {_place(row): row for run in sorted(beside, key=Run.rank, reverse=True) for row in run.metrics}
        for row in coupled.metrics:
            other = own.get(_place(row))
            if row["method"].startswith("appended") and row["measure"] in (DISC, AREA) and other:
                what = (row["joint"].replace("_", " "), _place(row)[1], row["measure"])
                counts = f"{row['n']} and {other['n']}"
                rows.append((coupled.notebook, *what, spread(row), spread(other), counts))
    head = ("notebook", "joint", "method", "measure", "coupled, %", "read-out, %", "n")
    return Table(head, tuple(rows))


def _place(row: dict) -> tuple:
    """What a row is of, whatever the mode: joint, method, measure and number of labelled pictures."""
    method = row["method"].replace(", coupled mode", "").replace(", readout mode", "")
    return row["joint"], method, row["measure"], row["train_images"]


def _alike(run: Run, other: Run) -> bool:
    """Whether the runs differ in no more than the mode, the variants, and how many runs there are."""
    same_ground = all(run.config.get(part) == other.config.get(part) for part in ("data", "model"))
    return run.notebook == other.notebook and same_ground and _agree(_settings(run), _settings(other))


def _settings(run: Run) -> dict:
    """The groups of a run's settings, without its mode and without what only makes it long."""
    own = run.config["settings"]
    found = {group: dict(own.get(group, {})) for group in ("base", "appended", "test", "protocol")}
    for group, name in (("appended", "mode"), ("protocol", "runs")):
        found[group].pop(name, None)
    return found


def _agree(one: dict, other: dict) -> bool:
    """Whether all that both know is equal: a setting that is newer than a run was off in it."""
    pairs = [(one[name], other[name]) for name in one.keys() & other.keys()]
    return all(_agree(*pair) if isinstance(pair[0], dict) else pair[0] == pair[1] for pair in pairs)
