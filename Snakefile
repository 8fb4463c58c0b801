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
TARGET, SIZE, VIEWS, WEIGHTS = (
    "04_ablation_target",
    "05_ablation_embedding_size",
    "06_ablation_augmentation",
    "07_ablation_loss_weights_and_steps",
)
ON_BASE = ["03_appended_embedding", TARGET, SIZE, VIEWS, WEIGHTS, "08_evaluate_3dpw"]
MORE = {  # (profile, notebook) -> the grid of an ablation, where it is not the notebook's own
    ("smoke", TARGET): "-p sigmas 0.05",
    ("smoke", SIZE): "-p ratios 0.2 -p readouts sum,best",
    ("smoke", VIEWS): "-p views 2",
    ("smoke", WEIGHTS): "-p runs 2 -p one_step_seeds 2 -p weights 0:0:1 -p step_counts 1 -p image_counts 1"
    " -p learning_rates 1.0 -p framings squash -p timesteps 300",
    ("paper", TARGET): "-p sigmas 0.02,0.03,0.05,0.075,0.1,0.15 -p map_size 0",
    ("paper", SIZE): "-p runs 0 -p ratios 0.05,0.1,0.2,0.5,1.0 -p map_size 0",
    ("paper", WEIGHTS): "-p runs 0 -p map_size 0 -p one_step_seeds 16 -p step_counts 1,3,10,30,300,1000"
    " -p image_counts 1,2,10,20,50 -p learning_rates 0.01,0.03,0.3,1.0 -p timesteps 20,50,200,300"
    " -p weights 0:0:1,1:0:5,0:1:5,1:1:1,5:1:5,1:5:5,5:1:1,1:5:1",
}
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
        more=lambda wildcards: f"-p base {BASE} {MORE.get((PROFILE, wildcards.notebook), '')}",
