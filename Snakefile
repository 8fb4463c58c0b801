# The batch: which notebook needs what. `make reproduce` runs it here, `snakemake --profile profiles/slurm` on a cluster.
#
# --config profile=quick|smoke|paper  run=name  seed=0  model=figures|folder|hub id  data=folder in 3DPW's layout
#   device=auto|cpu|cuda:0
# Every rule runs one notebook through kp_helpers.reproduce; what is done is known from the files alone.
#
# `snakemake --profile profiles/local sweep` does the jobs of sweeps.yaml, --config sweep=name those of one sweep.
import sys
from functools import cache
from pathlib import Path

from kp_helpers.config import ConfigError
from kp_helpers.notebook.sweeps import plan

PROFILE = config.get("profile", "quick")
if PROFILE not in plan.WORLDS:
    raise WorkflowError(f"profile is {PROFILE!r}, expected one of {', '.join(plan.WORLDS)}")
RUN = str(config.get("run") or PROFILE)
SEED = int(config.get("seed", 0))
MODEL = config.get("model") or "figures"
SIZES = {folder: f"--sequences {sequences} --frames {frames}" for folder, sequences, frames in plan.WORLDS.values()}
DATA = config.get("data") or plan.WORLDS[PROFILE][0]
DEVICE = config.get("device") or "auto"


def ready(data):
    """What has to be there of a data folder: all of it, or of a figures world what is written last."""
    return f"{data}/manifest.json" if data in SIZES else data


FIRST = ["00_figures_world", "01_attention_extraction", "02_stable_keypoints"]
TARGET, SIZE, VIEWS, WEIGHTS = (
    "04_ablation_target",
    "05_ablation_embedding_size",
    "06_ablation_augmentation",
    "07_ablation_loss_weights_and_steps",
)
FAILED, BEYOND = "09_failed_approaches", "10_beyond_the_paper"
APPENDED, PROTOCOL = "03_appended_embedding", "08_evaluate_3dpw"
LONG = [WEIGHTS, PROTOCOL, BEYOND]
ON_BASE = [APPENDED, TARGET, SIZE, VIEWS, WEIGHTS, PROTOCOL, FAILED, BEYOND, "14_your_own_pictures"]
MORE = {  # (profile, notebook) -> the grid of an ablation, where it is not the notebook's own
    ("smoke", TARGET): "-p sigmas 0.05",
    ("smoke", SIZE): "-p ratios 0.2 -p readouts sum,best",
    ("smoke", VIEWS): "-p views 2",
    ("smoke", WEIGHTS): "-p runs 2 -p one_step_seeds 2 -p weights 0:0:1 -p step_counts 1 -p image_counts 1"
    " -p learning_rates 1.0 -p framings squash -p timesteps 300",
    ("smoke", FAILED): "-p windows 0.3 -p pictures 4",
    ("smoke", BEYOND): "-p ideas cross-entropy",
    ("paper", TARGET): "-p sigmas 0.02,0.03,0.05,0.075,0.1,0.15",
    ("paper", SIZE): "-p runs 0 -p ratios 0.05,0.1,0.2,0.5,1.0",
    ("paper", WEIGHTS): "-p runs 0 -p one_step_seeds 16 -p step_counts 1,3,10,30,300,1000"
    " -p image_counts 1,2,10,20,50 -p learning_rates 0.01,0.03,0.3,1.0 -p timesteps 20,50,200,300"
    " -p weights 0:0:1,1:0:5,0:1:5,1:1:1,5:1:5,1:5:5,5:1:1,1:5:1",
}
if MODEL == "figures":  # read-out mode, and twice the resolution of the model's finest features: hours on two cores
    PAPER = dict.fromkeys([APPENDED, PROTOCOL], "-p mode readout -p map_size 64") | {FIRST[2]: "-p map_size 64"}
    PAPER |= dict.fromkeys([TARGET, SIZE, WEIGHTS, FAILED], "-p mode readout -p test_images 40")
    PAPER |= {VIEWS: "-p mode readout -p map_size 64 -p test_images 40"}
else:  # coupled mode and maps of 128, in the ablations too
    PAPER = dict.fromkeys([TARGET, SIZE, WEIGHTS, FAILED, BEYOND], "-p map_size 0")


def given_more(notebook):
    """The parameters of a notebook besides those that all have."""
    return " ".join([MORE.get((PROFILE, notebook), ""), PAPER.get(notebook, "") if PROFILE == "paper" else ""])


BASE = f"results/02_stable_keypoints/{RUN}/embedding.safetensors"


rule all:
    input:
        expand("results/{notebook}/{run}/metrics.json", notebook=FIRST + ON_BASE, run=RUN),


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
        more=lambda wildcards: given_more(wildcards.notebook),
    threads: 1
    resources:
        mem_mb=8000,
    shell:
        "{sys.executable} -m kp_helpers.reproduce {input.notebook} results/{wildcards.notebook}/{RUN} --overwrite"
        " -p model {MODEL:q} -p data {DATA:q} -p device {DEVICE:q} -p seed {SEED} -p profile {PROFILE} {params.more}"


use rule alone as base with:
    output:
        metrics=update(f"results/{{notebook}}/{RUN}/metrics.json"),
        embedding=update(f"results/{{notebook}}/{RUN}/embedding.safetensors"),
    wildcard_constraints:
        notebook="02_stable_keypoints",
    priority: 1


use rule alone as on_base with:
    input:
        notebook="notebooks/{notebook}.ipynb",
        data=ready(DATA),
        base=BASE,
    wildcard_constraints:
        notebook="|".join(name for name in ON_BASE if name not in LONG),
    params:
        more=lambda wildcards: f"-p base {BASE} {given_more(wildcards.notebook)}",


# The longest begin first, as does the base that they wait for, so that in the end no core is idle.
use rule on_base as long with:
    wildcard_constraints:
        notebook="|".join(LONG),
    priority: 1


SWEEPS = config.get("sweeps", "sweeps.yaml")
PLACE = "{sweep}/{joint}-{seed}-{setting}"
KEPT_VIEWS = "build/cache/{sweep}/{joint}-{seed}.json"


@cache
def jobs(*key):
    """All jobs, or those of a sweep, a joint, a seed and a setting; read only where a sweep is asked for."""
    try:
        return plan.find(plan.read(SWEEPS), *key) if key else plan.read(SWEEPS)
    except ConfigError as error:
        raise WorkflowError(str(error)) from None


def jobs_of(wildcards):
    return jobs(*[int(value) if name == "seed" else value for name, value in wildcards.items()])


def wanted(_):
    try:
        asked = plan.chosen(jobs(), filter(None, [config.get("sweep")]))
    except ConfigError as error:
        raise WorkflowError(str(error)) from None
    return [f"results/{job.folder}/metrics.json" for job in asked]


def given(wildcards):
    """The data and the base embedding of a sweep."""
    about = jobs_of(wildcards)[0].about
    if not about.base and about.profile != RUN and not Path(about.base_file).exists():
        raise WorkflowError(
            f"{SWEEPS}, sweep {wildcards.sweep!r}: {about.base_file} is missing, the base embedding of the profile"
            f" {about.profile!r}; make it with `make sweep PROFILE={about.profile}`, or name another as `base`"
        )
    return [ready(about.data_folder), about.base_file]


def given_and_views(wildcards):
    """The same, and behind it the views of a read-out job; they are `ancient`, since a new setting among
    them changes nothing for those that are done."""
    views = [ancient(expand(KEPT_VIEWS, **wildcards)[0])] if jobs_of(wildcards)[0].keeps_views else []
    return given(wildcards) + views


wildcard_constraints:
    sweep="[A-Za-z0-9_-]+",
    joint="[a-z_]+",
    seed=r"\d+",
    setting="[A-Za-z0-9_-]+",


rule sweep:
    input:
        wanted,


# Built once by one job; the jobs of all settings of this joint and seed read it.
rule views:
    input:
        given,
    output:
        KEPT_VIEWS,
    params:
        settings=lambda wildcards: [job.settings.model_dump_json() for job in jobs_of(wildcards)],
    threads: 1
    retries: 2
    resources:
        mem_mb=8000,
    shell:
        "{sys.executable} -m kp_helpers.notebook.sweeps --file {SWEEPS:q} cache {wildcards.sweep} {wildcards.joint}"
        " {wildcards.seed} {output} --cache build/cache"


rule job:
    input:
        given_and_views,
    output:
        update(f"results/{plan.FOLDER}/{PLACE}/metrics.json"),
    params:
        settings=lambda wildcards: jobs_of(wildcards)[0].settings.model_dump_json(),
    threads: 1
    retries: 2
    resources:
        mem_mb=8000,
    shell:
        "{sys.executable} -m kp_helpers.notebook.sweeps --file {SWEEPS:q} job {wildcards.sweep} {wildcards.joint}"
        " {wildcards.seed} {wildcards.setting} --cache build/cache --checkpoint build/checkpoints"
