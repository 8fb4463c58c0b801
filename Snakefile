# The batch: which notebook needs what. `make reproduce` runs it here, `snakemake --profile profiles/slurm` on a cluster.
#
# --config profile=quick|smoke|paper  run=name  seed=0  model=figures|folder|hub id  data=folder in 3DPW's layout
#   device=auto|cpu|cuda:0  dtype=float32|bfloat16|float16  clip=folder or hub id of the CLIP of notebook 09 on photographs, and of 12 with another model
#   panoptic=folder in COCO's panoptic format (notebook 12; else the figures world)
# Every rule runs one notebook through kp_helpers.reproduce; what is done is known from the files alone.
# What a profile gives each notebook stands in profiles/notebooks.yaml.
# profile=reference is what `make reference` makes: settings of `quick`, in a world of its own, with the runs, pictures
# and base seeds that decide the claims.
#
# `snakemake --profile profiles/local sweep` does the jobs of sweeps.yaml, --config sweep=name those of one sweep.
import shlex
import sys
from functools import cache
from pathlib import Path

import yaml

from kp_helpers.config import ConfigError
from kp_helpers.notebook.sweeps import needs, plan

PROFILE = config.get("profile", "quick")
if PROFILE not in plan.WORLDS:
    raise WorkflowError(f"profile is {PROFILE!r}, expected one of {', '.join(plan.WORLDS)}")
RUN = str(config.get("run") or PROFILE)
REFERENCE = PROFILE == "reference"
SEED = int(config.get("seed", REFERENCE))
SETTINGS = "quick" if REFERENCE else PROFILE
MODEL = config.get("model") or "figures"
SIZES = {folder: f"--sequences {sequences} --frames {frames}" for folder, sequences, frames in plan.WORLDS.values()}
DATA = config.get("data") or plan.WORLDS[PROFILE][0]
DEVICE = config.get("device") or "auto"
CLIP = config.get("clip") or ""
DTYPE = config.get("dtype") or "float32"


def ready(data):
    """What has to be there of a data folder: all of it, or of a figures world what is written last."""
    return f"{data}/manifest.json" if data in SIZES else data


FIRST = ["00_figures_world", "01_attention_extraction", "02_stable_keypoints"]
APPENDED, PROTOCOL, BEYOND = "03_appended_embedding", "08_evaluate_3dpw", "10_beyond_the_paper"
CROPS = "09_failed_approaches"
OWN_PICTURES = "14_your_own_pictures"
SHORT = [
    APPENDED,
    "04_ablation_target",
    "05_ablation_embedding_size",
    "06_ablation_augmentation",
    CROPS,
    OWN_PICTURES,
]
LONG = ["07_ablation_loss_weights_and_steps", PROTOCOL, BEYOND]
BENCHMARK = "11_unsupervised_benchmarks"
EDITING = "13_edit_by_instruction"
VOCABULARY = "12_open_vocabulary_segmentation"
PARAMETERS = yaml.safe_load(Path(workflow.basedir, "profiles", "notebooks.yaml").read_text())


def bases_of(notebook):
    """The bases of a notebook; those that make one embedding, or ask nothing of runs, take the first."""
    return BASE if notebook in (APPENDED, OWN_PICTURES) else ",".join(BASES)


def parameters_of(notebook):
    """The parameters of a notebook besides those that all have."""
    of_model = f"{PROFILE}, {'figures' if MODEL == 'figures' else 'another'} model"
    asks_it = notebook == CROPS or (notebook == VOCABULARY and MODEL != "figures")
    clip = f"-p clip {shlex.quote(CLIP)}" if CLIP and asks_it else ""
    given = (PARAMETERS.get(name, {}).get(notebook, "") for name in (PROFILE, of_model))
    return " ".join([*given, clip])


BASE = f"results/02_stable_keypoints/{RUN}/embedding.safetensors"
FURTHER = "build/bases/02_stable_keypoints/{seed}/embedding.safetensors"
BASES = [BASE, *(expand(FURTHER, seed=range(SEED + 1, SEED + 10)) if REFERENCE else [])]
"""Of several bases the runs of a notebook take one after the other."""
REPRODUCE = (
    "{sys.executable} -m kp_helpers.reproduce {input.notebook} {params.out} --overwrite -p model {MODEL:q}"
    " -p data {DATA:q} -p device {DEVICE:q} -p dtype {DTYPE:q} -p seed {params.seed} -p profile {SETTINGS} {params.more}"
)


rule all:
    input:
        expand("results/{notebook}/{run}/metrics.json", notebook=[*FIRST, *SHORT, *LONG, BENCHMARK, VOCABULARY, EDITING], run=RUN),


rule world:
    output:
        "{world}/manifest.json",
    wildcard_constraints:
        world="|".join(SIZES),
    params:
        size=lambda wildcards: SIZES[wildcards.world],
    shell:
        "{sys.executable} -m kp_helpers.figures export {wildcards.world} {params.size} --seed {SEED}"


# `update` keeps the last result until a new one is whole: Snakemake would delete it before the work.
rule alone:
    input:
        notebook="notebooks/{notebook}.ipynb",
        data=ready(DATA),
    output:
        update(f"results/{{notebook}}/{RUN}/metrics.json"),
    wildcard_constraints:
        notebook="|".join(FIRST[:2]),
    params:
        out=f"results/{{notebook}}/{RUN}",
        seed=SEED,
        more=lambda wildcards: parameters_of(wildcards.notebook),
    threads: 1
    resources:
        mem_mb=needs.memory(MODEL),
        gpu=needs.gpus(DEVICE),
    shell:
        REPRODUCE


# It has scenes of its own and takes whatever device there is. `reference` is its profile `paper`: 200 edits by all ways.
rule editing:
    input:
        notebook=f"notebooks/{EDITING}.ipynb",
    output:
        update(f"results/{EDITING}/{RUN}/metrics.json"),
    params:
        profile="paper" if REFERENCE else SETTINGS,
    threads: 1
    resources:
        mem_mb=needs.memory(MODEL),
        gpu=needs.gpus(DEVICE),
    shell:
        "{sys.executable} -m kp_helpers.reproduce {input.notebook} results/{EDITING}/{RUN} --overwrite"
        " -p model {MODEL:q} -p data {DATA:q} -p device {DEVICE:q} -p dtype {DTYPE:q} -p seed {SEED}"
        " -p profile {params.profile}"


use rule alone as base with:
    output:
        metrics=update(f"results/{{notebook}}/{RUN}/metrics.json"),
        embedding=update(f"results/{{notebook}}/{RUN}/embedding.safetensors"),
    wildcard_constraints:
        notebook="02_stable_keypoints",
    priority: 1


use rule alone as further_base with:
    input:
        notebook="notebooks/02_stable_keypoints.ipynb",
        data=ready(DATA),
    output:
        FURTHER,
    wildcard_constraints:
        seed=r"\d+",
    params:
        out="build/bases/02_stable_keypoints/{seed}",
        seed="{seed}",
        more="",
    priority: 2


use rule alone as on_base with:
    input:
        notebook="notebooks/{notebook}.ipynb",
        data=ready(DATA),
        base=BASES,
    wildcard_constraints:
        notebook="|".join(SHORT),
    params:
        out=f"results/{{notebook}}/{RUN}",
        seed=SEED,
        more=lambda wildcards: f"-p base {bases_of(wildcards.notebook)} {parameters_of(wildcards.notebook)}",


# It learns on worlds of its own, in the layouts of five sets, and its profile says how many bases and pictures.
rule benchmark:
    input:
        notebook=f"notebooks/{BENCHMARK}.ipynb",
    output:
        update(f"results/{BENCHMARK}/{RUN}/metrics.json"),
    threads: 1
    priority: 1
    resources:
        mem_mb=needs.memory(MODEL),
        gpu=needs.gpus(DEVICE),
    shell:
        "{sys.executable} -m kp_helpers.reproduce {input.notebook} results/{BENCHMARK}/{RUN} --overwrite"
        " -p model {MODEL:q} -p device {DEVICE:q} -p dtype {DTYPE:q} -p seed {SEED} -p profile {PROFILE}"


# It draws its own pictures and measures more of them for little time: `reference` is its profile `paper`.
rule open_vocabulary:
    input:
        f"notebooks/{VOCABULARY}.ipynb",
    output:
        update(f"results/{VOCABULARY}/{RUN}/metrics.json"),
    params:
        data=config.get("panoptic") or "figures",
        profile="paper" if REFERENCE else SETTINGS,
        more=parameters_of(VOCABULARY),
    threads: 1
    resources:
        mem_mb=needs.memory(MODEL),
        gpu=needs.gpus(DEVICE),
    shell:
        "{sys.executable} -m kp_helpers.reproduce {input} results/{VOCABULARY}/{RUN} --overwrite"
        " -p model {MODEL:q} -p data {params.data:q} -p device {DEVICE:q} -p dtype {DTYPE:q} -p seed {SEED}"
        " -p profile {params.profile} {params.more}"


# The longest begin first, as does the base that they wait for, so that in the end no core is idle.
use rule on_base as long with:
    wildcard_constraints:
        notebook="|".join(LONG),
    priority: 1


SWEEPS = config.get("sweeps", "sweeps.yaml")


@cache
def jobs():
    """All jobs of the file; read only where a sweep is asked for."""
    return checked(plan.read, SWEEPS)


def checked(ask, *words):
    """An answer of `plan`, whose error is the workflow's."""
    try:
        return ask(*words)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


def job_of(wildcards):
    return checked(plan.find, jobs(), wildcards.sweep, wildcards.job)


def data_and_base(wildcards):
    """The data and the base embedding of a job's sweep."""
    about = job_of(wildcards).about
    if not about.base and about.profile != RUN and not Path(about.base_file).exists():
        raise WorkflowError(
            f"{SWEEPS}, sweep {wildcards.sweep!r}: {about.base_file} is missing, the base embedding of the profile"
            f" {about.profile!r}; make it with `make sweep PROFILE={about.profile}`, or name another as `base`"
        )
    return [ready(about.data_folder), about.base_file]


rule sweep:
    input:
        lambda _: [f"results/{job.folder}/metrics.json" for job in checked(plan.chosen, jobs(), config.get("sweep", ""))],


rule job:
    input:
        data_and_base,
    output:
        update(f"results/{plan.FOLDER}/{{sweep}}/{{job}}/metrics.json"),
    wildcard_constraints:
        sweep="[A-Za-z0-9_-]+",
        job="[A-Za-z0-9_-]+",
    params:
        settings=lambda wildcards: job_of(wildcards).settings.model_dump_json(),
    threads: 1
    retries: 2
    resources:
        mem_mb=lambda wildcards, attempt: attempt * needs.memory(job_of(wildcards).about.model),
        runtime=lambda wildcards, attempt: attempt * needs.minutes(job_of(wildcards)),
        gpu=lambda wildcards: needs.gpus(job_of(wildcards).about.device),
    shell:
        "{sys.executable} -m kp_helpers.notebook.sweeps --file {SWEEPS:q} job {wildcards.sweep} {wildcards.job}"
        " --cache build/cache --checkpoint build/checkpoints"
