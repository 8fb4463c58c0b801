"""How a notebook begins and saves: `begin` loads what it works with, `Session.finish` writes its result."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from kp_helpers import diffusion, embeddings, evaluate, stages
from kp_helpers.data import KeypointSample
from kp_helpers.diffusion import Diffusion
from kp_helpers.evaluate import Found
from kp_helpers.results import Metric, Prediction, RunFolder, describe_data, project_path, run_facts
from kp_helpers.results.claims import list_of
from kp_helpers.results.tables import data_name


@dataclass(frozen=True)
class Session:
    """What a notebook works with.

    frozen: the model. bases: the base tokens (N, D) of each base that notebook 02 saved, none where they
    were not asked for. keypoints: of each base the tokens that are its unsupervised keypoints. sets: the
    samples of each split. data: their folder. cache, states: folders of what read-out mode keeps and of runs
    on their way, None where nothing is to be kept. overwrite: whether the result replaces one that exists.
    """

    notebook: str
    run: str
    results: Path
    overwrite: bool
    seed: int
    model: str
    frozen: Diffusion
    bases: tuple[torch.Tensor, ...]
    keypoints: tuple[torch.Tensor, ...]
    base_file: str
    sets: tuple[Sequence[KeypointSample], ...]
    data: Path
    cache: Path | None
    states: Path | None

    @property
    def base(self) -> torch.Tensor | None:
        """The first base, that of run 0."""
        return self.bases[0] if self.bases else None

    def base_of(self, run: int) -> torch.Tensor:
        """The base tokens of a run: with several bases, runs differ in them too."""
        return self.bases[run % len(self.bases)]

    def keypoint_of(self, run: int) -> int:
        """The token that the base of a run chose without labels."""
        chosen = self.keypoints[run % len(self.bases)]
        if not len(chosen):
            expected = "expected a base that notebook 02 saved"
            raise ValueError(f"{self.base_file}: has no selected_tokens, {expected}")
        return int(chosen[0])

    @property
    def kind(self) -> str:
        """The data's name in titles."""
        return data_name(describe_data(self.data)["kind"])

    def __str__(self) -> str:
        samples = " and ".join(str(len(samples)) for samples in self.sets)
        samples = samples and f", {samples} samples"
        model = f"model {self.model}, {self.frozen.image_size} px, on {self.frozen.device}"
        text = f"{model}; data: {self.kind}{samples}"
        if self.bases:
            count = f"{len(self.bases)} bases" if len(self.bases) > 1 else "base"
            text += f"; {count} of {len(self.base)} tokens"
        return text

    def finish(
        self,
        settings: Mapping,
        metrics: Iterable[Metric],
        predictions: Iterable[Found] = (),
        *,
        figures: Mapping[str, object] | None = None,
        tables: Mapping[str, object] | None = None,
        verdicts: pd.DataFrame | None = None,
        embedding: tuple[dict[str, torch.Tensor], dict] | None = None,
        facts: Mapping | None = None,
    ) -> Path:
        """Write the run's folder, whole or not at all, and return it; what was kept on the way then goes.

        settings: JSON values for `config.json`, beside which the facts of the run stand, and any more in
        `facts`. verdicts: rows as `evaluate.judged` has them, each of a claim of this notebook. embedding:
        tensors and metadata for `embeddings.save`.
        """
        about = run_facts(
            seed=self.seed,
            model=self.model,
            fingerprint=self.frozen.fingerprint,
            data=self.data,
            device=str(self.frozen.device),
            dtype=str(self.frozen.unet.dtype),
        )
        with RunFolder(self.results, self.notebook, self.run, overwrite=self.overwrite) as folder:
            folder.config(dict(settings), **about, **(facts or {}))
            folder.metrics(metrics)
            folder.predictions(Prediction(**point.prediction()) for point in predictions)
            for title, figure in (figures or {}).items():
                folder.figure(title, figure)
            for title, table in (tables or {}).items():
                folder.table(title, table)
            if verdicts is not None:
                lists = [list_of(self.notebook, claim) for claim in verdicts["id"]]
                folder.table("verdicts", verdicts.assign(list=lists))
            if embedding:
                embeddings.save(folder.file("embedding.safetensors"), *embedding)
        stages.clear(self.states)
        return folder.path


def begin(
    notebook: str,
    *,
    run: str,
    results: str | Path,
    model: str,
    data: str,
    seed: int,
    device: str = "auto",
    dtype: str = "float32",
    joints: Sequence[str] = (),
    splits: Sequence[str] = ("train", "test"),
    base: str | None = None,
    cache: str | Path = "",
    checkpoint: str | Path = "",
    overwrite: bool = False,
) -> Session:
    """Load the model, the splits of the data and, unless `base` is None, the base tokens.

    Relative paths start at the checkout. A run that exists is refused before anything is loaded, unless
    `overwrite` is true or it is called "notebook". base: the file that notebook 02 saved, or several with
    commas; empty means the run of the same name. cache, checkpoint: folders; empty keeps nothing. device,
    dtype: as for `diffusion.load`.
    """
    root, run = project_path(results), str(run)  # as `RunFolder` takes it
    overwrite = overwrite or run == "notebook"
    RunFolder(root, notebook, run, overwrite=overwrite).discard()
    folder = project_path(data)
    sets = tuple(evaluate.data_set(folder, split, joints) for split in splits)
    frozen = diffusion.load(located(model), device, dtype)
    bases, keypoints = [], []
    if base is not None:
        base = base or f"{results}/02_stable_keypoints/{run}/embedding.safetensors"
        for path in base.split(","):
            tensors = evaluate.base_tensors(project_path(path.strip()), frozen)
            bases.append(tensors["base"].to(frozen.device))
            keypoints.append(tensors.get("selected_tokens", torch.empty(0, dtype=torch.long)))
    return Session(
        notebook=notebook,
        run=run,
        results=root,
        overwrite=overwrite,
        seed=seed,
        model=model,
        frozen=frozen,
        bases=tuple(bases),
        keypoints=tuple(keypoints),
        base_file=base or "",
        sets=sets,
        data=folder,
        cache=project_path(cache) if cache else None,
        states=project_path(checkpoint) / notebook / run if checkpoint else None,
    )


def located(name: str) -> str | Path:
    """A path in the project, or the name as it is: of a shipped model or of one on the hub."""
    place = project_path(name)
    return place if place.exists() else name
