# The batch: which notebook needs what. `make reproduce` runs it here, `snakemake --profile profiles/slurm` on a cluster.
#
# --config profile=quick|smoke|paper  run=name  seed=0  model=figures|folder|hub id  data=folder in 3DPW's layout
# Every rule runs one notebook through kp_helpers.reproduce; what is done is known from the files alone.
import sys

WORLDS = {  # profile -> (folder, sequences, frames a sequence) of the exported figures world
    "smoke": ("build/figures-smoke", 15, 6),
    "quick": ("build/figures", 60, 30),
    "paper": ("build/figures", 60, 30),
}
PROFILE = config.get("profile", "quick")
if PROFILE not in WORLDS:
    raise WorkflowError(f"profile is {PROFILE!r}, expected one of {', '.join(WORLDS)}")
RUN = str(config.get("run") or PROFILE)
SEED = int(config.get("seed", 0))
MODEL = config.get("model") or "figures"
WORLD, SEQUENCES, FRAMES = WORLDS[PROFILE]
DATA = config.get("data") or WORLD
READY = f"{WORLD}/manifest.json" if DATA == WORLD else DATA

FIRST = ["00_figures_world", "01_attention_extraction", "02_stable_keypoints"]
ON_BASE = ["03_appended_embedding", "08_evaluate_3dpw"]
BASE = f"results/02_stable_keypoints/{RUN}/embedding.safetensors"


rule all:
    input:
        expand("results/{notebook}/{run}/metrics.json", notebook=FIRST + ON_BASE, run=RUN),


rule world:
    output:
        f"{WORLD}/manifest.json",
    shell:
        "{sys.executable} -m kp_helpers.figures export {WORLD} --sequences {SEQUENCES} --frames {FRAMES} --seed {SEED}"


# `update` keeps the last result until a new one is whole: Snakemake would delete it before the work.
rule alone:
    input:
        notebook="notebooks/{notebook}.ipynb",
        data=READY,
    output:
        update(f"results/{{notebook}}/{RUN}/metrics.json"),
    wildcard_constraints:
        notebook="|".join(FIRST[:2]),
    params:
        more="",
    threads: 2
    resources:
        mem_mb=8000,
    shell:
        "{sys.executable} -m kp_helpers.reproduce {input.notebook} results/{wildcards.notebook}/{RUN} --overwrite"
        " -p model {MODEL:q} -p data {DATA:q} -p seed {SEED} -p profile {PROFILE} {params.more}"


use rule alone as base with:
    output:
        metrics=update(f"results/{{notebook}}/{RUN}/metrics.json"),
        embedding=update(f"results/{{notebook}}/{RUN}/embedding.safetensors"),
    wildcard_constraints:
        notebook="02_stable_keypoints",


use rule alone as on_base with:
    input:
        notebook="notebooks/{notebook}.ipynb",
        data=READY,
        base=BASE,
    wildcard_constraints:
        notebook="|".join(ON_BASE),
    params:
        more=f"-p base {BASE}",
