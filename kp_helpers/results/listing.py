"""The README's table of notebooks: a picture, the title, and what the reference run took."""

from pathlib import Path
from urllib.parse import quote

import nbformat

from kp_helpers.results.runs import Run, best_of

PICTURES = {
    "00_figures_world": "words",
    "01_attention_extraction": "words",
    "02_stable_keypoints": "keypoints",
    "03_appended_embedding": "maps",
    "04_ablation_target": "targets",
    "05_ablation_embedding_size": "hits",
    "06_ablation_augmentation": "ways",
    "07_ablation_loss_weights_and_steps": "training_images",
    "08_evaluate_3dpw": "points",
    "09_failed_approaches": "crops",
    "10_beyond_the_paper": "ladder",
    "11_unsupervised_benchmarks": "points",
    "12_open_vocabulary_segmentation": "examples",
    "13_edit_by_instruction": "prompt_to_prompt",
    "14_your_own_pictures": "found",
}
"""Notebook -> the figure of its run that shows it best in small."""
_WIDTH = 160


def listing(runs: list[Run], notebooks: Path) -> str:
    """A Markdown table with a line for each notebook; a picture, minutes and memory only where its best run
    has them.
    """
    lines = ["| | notebook | minutes | memory, GB |", "| --- | --- | --- | --- |"]
    for path in sorted(notebooks.glob("*.ipynb")):
        run = best_of(runs, path.stem)
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].removeprefix("# ")
        link = f"notebooks/{path.name}"
        cells = (_picture(run, link), f"[`{path.stem[:2]}`]({link}) {title}", *_costs(run))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _picture(run: Run | None, link: str) -> str:
    name = PICTURES.get(run.notebook, "") if run else ""
    if not run or f"{name}.png" not in run.pictures:
        return ""
    return f'[<img src="results/{run.folder}/figures/{quote(name)}.png" width="{_WIDTH}" alt="{name}">]({link})'


def _costs(run: Run | None) -> tuple[str, str]:
    return (run.minutes, run.memory) if run else ("", "")
