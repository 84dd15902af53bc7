# Two commands matter: `make demo` and `make test`. Each sets up .venv by itself; a second run re-installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := all,profiles,docs,dev
DEMO ?= demo
IFC ?= ifc
YEAST ?= yeast
JURKAT ?= jurkat
TRUTH ?= truth
BBBC021 ?= bbbc021
XENIUM ?= xenium
COVERAGE ?= covered
FIRST_HOUR ?= first_hour
SITES ?= 1
JOBS ?= 2
LOWEST ?= tests/data_tools tests/framework/data tests/framework/objectives tests/framework/run tests/launch

.PHONY: help demo ifc demo-real yeast jurkat bbbc021 xenium coverage truth first-hour test test-slow test-lowest test-slurm fuzz lint types docs check bench bench-quick gpu-check constraints clean
help:
	@echo "make demo                     simulate a plate, ingest, train, evaluate, report (3 to 13 minutes on 2 cores)"
	@echo "make ifc                      simulate images and sequenced cells, predict expression from images (minutes)"
	@echo "make demo-real EXPORT=FOLDER  ingest a real Harmony export with a per-cell table, regress its markers"
	@echo "make yeast CROPS=FOLDER       paired cell inpainting on real yeast crops: 3 seeds, all baselines (about an hour)"
	@echo "make jurkat CELLS=FOLDER      IFC-seq on real cells: DNA content and cell cycle from images (about 15 minutes)"
	@echo "make bbbc021 PROFILES=FOLDER  mechanisms of action from real profiles: every normalisation, NSC and NSB (minutes)"
	@echo "make xenium FIELD=FOLDER      expression of single cells from DAPI: three strips, three seeds, all baselines (about 20 minutes)"
	@echo "make coverage                 do intervals of 90 % hold 90 %: 750 simulated perturbations, a new plate; FIELD= and CELLS= add real cells"
	@echo "make truth [SITES=16]         Image2Omics on a simulation of the paper's shape: what it finds of what is true (20 CPU-minutes)"
	@echo "make first-hour DATA=FOLDER   what newcomers type in their first hour on real exports, with a stopwatch (minutes)"
	@echo "make test                     the test suite (13 to 21 minutes on 2 cores)"
	@echo "make test-slow                tests that take many minutes: real-data training, long fault injection"
	@echo "make test-lowest              tests of data_tools, framework and launch with the lowest versions that setup.cfg allows (constraints-lowest.txt)"
	@echo "make test-slurm               jobs on a Slurm of this machine (Debian: slurm-wlm, munge), a cut link between two network namespaces; needs root"
	@echo "make fuzz                     2,000 spoiled files of every kind the product reads: a value or a sentence, never more"
	@echo "make lint types               ruff; mypy --strict on framework and data_tools"
	@echo "make docs                     the documentation as a site: site/index.html; a broken link is an error, no network is used"
	@echo "make bench                    measure this machine against its limits and the peers that are installed"
	@echo "make bench-quick              about a minute of the same; fails on wrong pixels and on ratios far below target"
	@echo "make gpu-check                is this GPU right, and is it fast? a JSON line per check, in gpu-check.jsonl (minutes; runs on a CPU too)"
	@echo "make clean                    remove .venv and the demo folder"

$(READY): constraints.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Wellstream needs Python >= 3.11; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (once; downloads about 1 GB on a bare machine)"
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: install it (Debian: apt-get install python3-venv)"; exit 1; }
	@# torch first and alone, so that nothing else can choose another build of it
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/python -m experiments.demo --out $(DEMO)

ifc: $(READY)
	$(BIN)/python -m experiments.ifc_seq --out $(IFC)

demo-real: $(READY)
	@test -n "$(EXPORT)" || { echo "usage: make demo-real EXPORT=<folder with images/ measurements/ platemap.csv>"; exit 2; }
	$(BIN)/python -m experiments.demo.real "$(EXPORT)" --out $(DEMO)-real

yeast: $(READY)
	@test -d "$(CROPS)" || { echo "usage: make yeast CROPS=<folder 'images' of the authors' yeast crops>"; exit 2; }
	$(BIN)/python -m experiments.paired_cell_inpainting.yeast_table --crops "$(CROPS)" --out $(YEAST) $(ARGS)

jurkat: $(READY)
	@test -d "$(CELLS)" || { echo "usage: make jurkat CELLS=<folder with exp1_a.npz and exp1_a_labels.csv>"; exit 2; }
	$(BIN)/python -m experiments.ifc_seq.jurkat_table --cells "$(CELLS)" --out $(JURKAT)

xenium: $(READY)
	@test -d "$(FIELD)" || { echo "usage: make xenium FIELD=<folder with morphology_mip.tif and transcripts.csv.gz>"; exit 2; }
	$(BIN)/python -m experiments.xenium_breast.strips --field "$(FIELD)" --out $(XENIUM) $(ARGS)

coverage: $(READY)
	$(BIN)/python -m experiments.coverage --out $(COVERAGE) $(if $(FIELD),--field "$(FIELD)") $(if $(CELLS),--cells "$(CELLS)") $(ARGS)

bbbc021: $(READY)
	@test -d "$(PROFILES)" || { echo "usage: make bbbc021 PROFILES=<folder with wells.csv.gz>"; exit 2; }
	$(BIN)/python -m experiments.bbbc021 --profiles "$(PROFILES)" --out $(BBBC021)

truth: $(READY)
	$(BIN)/python -m experiments.image2omics.truth --out $(TRUTH) --sites $(SITES) $(ARGS)

first-hour: $(READY)
	@test -d "$(DATA)" || { echo "usage: make first-hour DATA=<folder with phenix-4i-round1, l1000-a375-plate and imagexpress-yokogawa>"; exit 2; }
	$(BIN)/python -m experiments.first_hour --data "$(DATA)" --out $(FIRST_HOUR)

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" -ra $(ARGS)

test-slow: $(READY)
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest -m slow -ra $(ARGS)

test-slurm: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/slurm tests/launch/test_hosts.py -ra $(ARGS)

fuzz: $(READY)
	PYTHONPATH=.:tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz $(ARGS)

# Its environment is one of its own; torch first and alone, so that nothing else can choose another build of it.
test-lowest: $(READY)
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r constraints-lowest.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $$($(BIN)/python -m pip freeze | grep -E '^(pytest|pytest-xdist|iniconfig|pluggy|execnet|hypothesis|sortedcontainers|kubernetes-validate|jsonschema|jsonschema-specifications|referencing|rpds-py|importlib_resources)==')
	$(VENV)-lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(VENV)-lowest/bin/python -m pip check
	OMP_NUM_THREADS=1 $(VENV)-lowest/bin/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" -ra $(LOWEST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/words.py

types: $(READY)
	$(BIN)/mypy

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/python -m mkdocs build --quiet
	@echo "site/index.html"

check: lint types test docs

bench: $(READY)
	$(BIN)/python -m benchmarks all $(ARGS)

gpu-check: $(READY)
	$(BIN)/python -m benchmarks.gpu_check --out gpu-check.jsonl $(ARGS)

bench-quick: $(READY)
	@out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && $(BIN)/python -m benchmarks all --quick --out "$$out" $(ARGS)

constraints: $(READY)
	@{ echo "# Versions this release is tested with; made from a clean environment by: make constraints"; \
	  $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) $(VENV)-lowest site $(DEMO) $(DEMO)-real $(IFC) $(TRUTH) $(BBBC021) $(COVERAGE) $(FIRST_HOUR)
