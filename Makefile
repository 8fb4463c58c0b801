# keypoint-kit. Every target does its own set-up. `make help` lists them.
PYTHON ?= python3
PROFILE ?= quick
RUN ?= $(PROFILE)
CORES ?= 2
TORCH_INDEX ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MORE := $(if $(MODEL),model="$(MODEL)") $(if $(DATA),data="$(DATA)") $(if $(SEED),seed=$(SEED)) $(if $(DEVICE),device="$(DEVICE)") $(if $(CLIP),clip="$(CLIP)") $(if $(DTYPE),dtype="$(DTYPE)")
SNAKEMAKE := $(BIN)/snakemake --profile profiles/local --cores $(CORES)
SWEEP_CONFIG := --config profile=$(PROFILE) run='"$(RUN)"' $(if $(SWEEP),sweep=$(SWEEP)) $(MORE)

CORE_TESTS := attention attention_families attention_shares attention_summed diffusion diffusion_families \
	diffusion_single_file stages stages_linear reading losses heatmaps keypoints geometry regress embeddings kit parity \
	predict metrics intervals store data_threedpw figures_model display widgets_explorer reproduce

# $(1): name of the environment, $(2): which versions uv takes of pyproject's direct dependencies
define core_tests
	$(PYTHON) -m venv build/venv-$(1)
	build/venv-$(1)/bin/python -m pip install --quiet uv
	build/venv-$(1)/bin/uv pip install --quiet --python build/venv-$(1)/bin/python --resolution $(2) --upgrade \
		--editable . "pytest>=9" "packaging>=25" "pycocotools>=2.0.11" "httpx>=0.28"
	build/venv-$(1)/bin/uv pip list --python build/venv-$(1)/bin/python
	OMP_NUM_THREADS=1 build/venv-$(1)/bin/python -m pytest -q $(CORE_TESTS:%=tests/test_%.py)
endef

.DEFAULT_GOAL := help
.PHONY: help setup reproduce reference sweep sweep-slurm test test-slurm test-lowest test-newest lab app site train-figures lint format clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
	@echo
	@echo "reproduce takes PROFILE=quick|smoke|paper, RUN=name (of the result, else the profile's), CORES=n, SEED=n,"
	@echo "  MODEL=folder or hub id, DATA=folder of 3DPW, DEVICE=cuda:0 and such (else a GPU if there is one),"
	@echo "  DTYPE=bfloat16 (half the memory of the weights), CLIP=folder or hub id (notebooks 09 and 12); sweep takes SWEEP=name (else all) and CORES=n;"
	@echo "  setup takes TORCH_INDEX=url and PYTHON=python3.x"

setup: $(STAMP)  ## make .venv and install the project with the pinned versions

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11: give a newer one with PYTHON=python3.x"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --quiet --no-compile -c requirements.lock torch --index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install --quiet --no-compile -c requirements.lock -e ".[dev]"
	@# on all cores, where pip takes one; some files are templates and no Python
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

reproduce: $(STAMP)  ## the main job: world, notebooks, results/index.html
	@case "$(PROFILE)" in quick|smoke|paper) ;; \
		*) echo "PROFILE=$(PROFILE) is unknown: quick, smoke or paper"; exit 2;; esac
	@status=0; $(SNAKEMAKE) --config profile=$(PROFILE) run='"$(RUN)"' $(MORE) || status=$$?; \
		mkdir -p results && $(BIN)/python -m kp_helpers.results index results && exit $$status

reference: $(STAMP)  ## the runs that decide the claims, in a world of their own: hours on 2 cores
	$(SNAKEMAKE) --config profile=reference $(MORE)
	$(BIN)/python -m kp_helpers.results readme
	$(BIN)/python -m kp_helpers.results publish

sweep: $(STAMP)  ## the jobs of sweeps.yaml on this machine, then what is missing, failed or done
	@status=0; $(SNAKEMAKE) sweep $(SWEEP_CONFIG) || status=$$?; \
		$(BIN)/python -m kp_helpers.notebook.sweeps summary $(SWEEP) && exit $$status

sweep-slurm: $(STAMP)  ## the same as Slurm jobs; installs the extra `cluster`
	$(BIN)/python -m pip install --quiet -c requirements.lock -e ".[dev,cluster]"
	@status=0; $(BIN)/snakemake --profile profiles/slurm sweep $(SWEEP_CONFIG) || status=$$?; \
		$(BIN)/python -m kp_helpers.notebook.sweeps summary $(SWEEP) && exit $$status

test: $(STAMP)  ## the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(CORES) --dist loadfile

test-slurm: $(STAMP)  ## a sweep on a real Slurm of this machine, as root; apt install slurm-wlm slurmdbd mariadb-server
	$(BIN)/python -m pip install --quiet -c requirements.lock -e ".[dev,cluster]"
	$(BIN)/python -m pytest -q -n 0 tests/slurm/check_sweep.py

test-lowest:  ## the core's tests with the oldest versions that pyproject.toml allows, in build/venv-lowest
	$(call core_tests,lowest,lowest-direct)

test-newest:  ## the same with the newest versions, in build/venv-newest
	$(call core_tests,newest,highest)

lab: $(STAMP)  ## JupyterLab on the notebooks, on this machine only
	$(BIN)/jupyter lab --ip=127.0.0.1 notebooks

app: $(STAMP)  ## the tuner as a page with Voila, on this machine only; installs the extra `app`
	$(BIN)/python -m pip install --quiet -c requirements.lock -e ".[dev,app]"
	@test -f build/figures/manifest.json || $(BIN)/python -m kp_helpers.figures export build/figures
	$(BIN)/voila notebooks/app/tuner.ipynb --token --Voila.ip=127.0.0.1

site: $(STAMP)  ## README, notebooks, docs and the six verbs as pages in build/site; installs the extra `site`
	$(BIN)/python -m pip install --quiet -c requirements.lock -e ".[dev,site]"
	$(BIN)/sphinx-build -q -b html -c docs/site . build/site
	@echo "open build/site/README.html"

train-figures: $(STAMP)  ## train the small model of the figures world; goes on where it stopped
	$(BIN)/python -m kp_helpers.figures train

lint: $(STAMP)  ## ruff on code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)  ## let ruff put code and notebooks in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what runs made, and what killed ones left; keeps .venv, results, training, your labels
	rm -rf build/figures build/figures-smoke build/figures-paper build/runs build/cache build/checkpoints
	rm -rf .snakemake .pytest_cache .ruff_cache
	test ! -d results || find results -mindepth 2 -name '.*' -prune -exec rm -rf {} +
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
