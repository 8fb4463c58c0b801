# The batch: which notebook needs what. `make reproduce` runs it here, `snakemake --profile profiles/slurm` on a cluster.
#
# --config profile=quick|smoke|paper  run=name  seed=0  model=figures|folder|hub id  data=folder in 3DPW's layout
#   device=auto|cpu|cuda:0
# Every rule runs one notebook through kp_helpers.reproduce; what is done is known from the files alone.
# profile=reference is what `make reference` makes: settings of `quick`, in a world of its own, with the runs, pictures
# and base seeds that decide the claims.
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
REFERENCE = PROFILE == "reference"
SEED = int(config.get("seed", REFERENCE))
SETTINGS = "quick" if REFERENCE else PROFILE
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
BENCHMARK = "11_unsupervised_benchmarks"
LONG = [WEIGHTS, PROTOCOL, BEYOND]
ON_BASE = [APPENDED, TARGET, SIZE, VIEWS, WEIGHTS, PROTOCOL, FAILED, BEYOND, "14_your_own_pictures"]
THREE = "left_foot,head,left_elbow"
SIDED = [f"{side}_{name}" for name in ("foot", "knee", "wrist", "elbow", "shoulder") for side in ("left", "right")]
TWELVE = ",".join(["head", "neck", *SIDED])
MORE = {  # (profile, notebook) -> the grid of an ablation, where it is not the notebook's own
    ("smoke", TARGET): "-p sigmas 0.05",
    ("smoke", SIZE): "-p ratios 0.2 -p readouts sum,best",
    ("smoke", VIEWS): "-p views 2",
    ("smoke", WEIGHTS): "-p runs 2 -p one_step_seeds 2 -p weights 0:0:1 -p step_counts 1 -p image_counts 1"
    " -p learning_rates 1.0 -p framings squash -p timesteps 300",
    ("smoke", FAILED): "-p windows 0.3 -p pictures 4",
    ("smoke", BEYOND): "-p ideas cross-entropy",
    ("reference", TARGET): "-p runs 11 -p test_images 40 -p sigmas 0.02,0.03,0.05,0.075,0.1",
    ("reference", SIZE): "-p runs 11 -p test_images 40 -p ratios 0.05,0.1,0.2,0.5,1.0",
    ("reference", VIEWS): "-p runs 11 -p test_images 40",
    ("reference", WEIGHTS): "-p runs 11 -p test_images 40 -p weights 0:0:1,1:0:5,0:1:5,1:1:1,5:1:5,1:5:5",
    ("reference", PROTOCOL): "-p mode coupled -p designs 5x10,20x10",
    ("reference", FAILED): "-p runs 11 -p test_images 40",
    ("reference", BEYOND): f"-p joints {TWELVE} -p runs 4 -p test_images 20 -p validation_joints {THREE}"
    f" -p validation_runs 2 -p validation_images 16 -p curve_joints {THREE} -p curve_runs 4"
    " -p label_counts 1,5,20,100 -p ridge_labels 200 -p unlabelled 60 -p pseudo_labels 15 -p base_seeds 10"
    " -p base_steps 60 -p steps 100 -p pool 4",
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


def bases_of(notebook):
    """The bases of a notebook; those that make one embedding, or ask nothing of runs, take the first."""
    return BASE if notebook in (APPENDED, BEYOND, ON_BASE[-1]) else ",".join(BASES)


def given_more(notebook):
    """The parameters of a notebook besides those that all have."""
    return " ".join([MORE.get((PROFILE, notebook), ""), PAPER.get(notebook, "") if PROFILE == "paper" else ""])


BASE = f"results/02_stable_keypoints/{RUN}/embedding.safetensors"
FURTHER = [f"build/bases/02_stable_keypoints/{SEED + n}/embedding.safetensors" for n in range(1, 10)]
BASES = [BASE, *(FURTHER if REFERENCE else [])]
"""Of several bases the runs of a notebook take one after the other."""
READOUT = f"results/{PROTOCOL}/{RUN}-readout/metrics.json"
"""The protocol once more, in read-out mode, where its headline is in the paper's."""


rule all:
    input:
        expand("results/{notebook}/{run}/metrics.json", notebook=[*FIRST, *ON_BASE, BENCHMARK], run=RUN),
        READOUT if REFERENCE else [],


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
        " -p model {MODEL:q} -p data {DATA:q} -p device {DEVICE:q} -p seed {SEED} -p profile {SETTINGS} {params.more}"


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
        base=BASES,
    wildcard_constraints:
        notebook="|".join(name for name in ON_BASE if name not in LONG),
    params:
        more=lambda wildcards: f"-p base {bases_of(wildcards.notebook)} {given_more(wildcards.notebook)}",


rule further_base:
    input:
        notebook="notebooks/02_stable_keypoints.ipynb",
        data=ready(DATA),
    output:
        "build/bases/02_stable_keypoints/{seed}/embedding.safetensors",
    wildcard_constraints:
        seed=r"\d+",
    threads: 1
    priority: 2
    shell:
        "{sys.executable} -m kp_helpers.reproduce {input.notebook} build/bases/02_stable_keypoints/{wildcards.seed}"
        " --overwrite -p model {MODEL:q} -p data {DATA:q} -p device {DEVICE:q} -p seed {wildcards.seed}"
        " -p profile {SETTINGS}"


# It learns on worlds of its own, in the layouts of five sets, and its profile says how many bases and pictures.
rule benchmark:
    input:
        notebook=f"notebooks/{BENCHMARK}.ipynb",
    output:
        update(f"results/{BENCHMARK}/{RUN}/metrics.json"),
    threads: 1
    priority: 1
    shell:
        "{sys.executable} -m kp_helpers.reproduce {input.notebook} results/{BENCHMARK}/{RUN} --overwrite"
        " -p model {MODEL:q} -p seed {SEED} -p profile {PROFILE}"


rule readout:
    input:
        notebook=f"notebooks/{PROTOCOL}.ipynb",
        data=ready(DATA),
        base=BASES,
    output:
        update(READOUT),
    params:
        more=f"-p base {','.join(BASES)} {MORE[('reference', PROTOCOL)].replace('coupled', 'readout')}",
    threads: 1
    shell:
        "{sys.executable} -m kp_helpers.reproduce {input.notebook} results/{PROTOCOL}/{RUN}-readout --overwrite"
        " -p model {MODEL:q} -p data {DATA:q} -p device {DEVICE:q} -p seed {SEED} -p profile {SETTINGS} {params.more}"


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
