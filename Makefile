# Two commands do everything on a fresh machine: `make run` and `make test`.
.DELETE_ON_ERROR:
IS_ONE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3; do $$each -c '$(IS_ONE)' 2>/dev/null && echo $$each && break; done)
BIN := .venv/bin
SIGNET := $(BIN)/signet
HTTP_PORT ?= 8080
MODELS_DIR ?= models

.PHONY: run test quick test-long check audit format bench bench-overload bench-page bench-score bench-babi trace-picture wheel lock images-check deploy-files docs docs-picture release-check help

help:            ## these lines
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/' | expand -t 14

.venv/.done: requirements.lock pyproject.toml setup.py serving/open_inference/open_inference.proto serving/json_arrays/number_nests.c
	@$(or $(PYTHON),false) -c '$(IS_ONE)' || { echo "Signet needs Python 3.11, 3.12 or 3.13: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing the locked packages into .venv (about two minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: .venv/.done  ## serve on http://localhost:8080, and train meanwhile what models/ lacks of the quick presets; EPOCHS=1 trains for less
	@exec $(BIN)/python examples/first_run.py '$(MODELS_DIR)' '$(HTTP_PORT)' '$(EPOCHS)'

# One worker a processor, each with session servers of its own: about 3 GB of memory, hence at most four. `worksteal` gives
# each worker a run of neighbours, so that most files' fixtures are made once, and shares out what is left at the end.
# Hundreds of processes start: what one has compiled the others read, even where it is usual to keep nothing compiled.
T ?=
JOBS ?= auto
test quick test-long: export PYTHONDONTWRITEBYTECODE :=
test: .venv/.done  ## the whole test suite at its small size, in parallel; T=tests/clients for one folder, JOBS=0 for one process
	$(if $(T),-)@$(BIN)/python -m tests.programs
	$(BIN)/pytest -m "not long" --cache-clear --numprocesses $(JOBS) --maxprocesses 4 --dist worksteal --durations 25 $(T) \
		|| $(BIN)/python -m tests.again $$?

quick: .venv/.done  ## the unit tests alone, within a minute on two cores: the loop while one works; T= and JOBS= as above
	$(BIN)/pytest -m "unit and not long" --hypothesis-profile quick --unit-budget 2 --numprocesses $(JOBS) --maxprocesses 4 \
		--dist worksteal --durations 10 $(T)

test-long: .venv/.done  ## the full counts, one after the other: some need the machine to themselves; T= as above
	$(BIN)/pytest -m long $(T)

check: .venv/.done  ## format, lint, types, known ways to be insecure
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive clients deploy examples serving setup.py signet training

audit: .venv/.done  ## whether advisories are known of any package of the lock files; asks a service on the network
	$(BIN)/python deploy/audit.py

format: .venv/.done  ## rewrite in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Half an hour; QUICK=1: three minutes. BASE=REVISION: another revision's servers beside these, in the same rounds, with a
# verdict for each target. ONLY='digits*64' SERVERS='embedded*': some. TFS_BIN=…/tensorflow_model_server: it too. OUT=FOLDER
bench: BASE ?=
bench: .venv/.done  ## every server beside the engine's own loop, BASE=REVISION and TFS_BIN, interleaved; QUICK=1 OUT= ONLY= SERVERS=
	$(BIN)/python -m tests.bench $(if $(BASE),--base '$(BASE)') $(if $(OUT),--out '$(OUT)') $(if $(QUICK),--quick) \
		$(if $(ONLY),--only '$(ONLY)') $(if $(SERVERS),--servers '$(SERVERS)')
ifeq ($(QUICK)$(ONLY)$(SERVERS),)
	$(BIN)/python -m tests.bench.load_test
	$(BIN)/python -m tests.bench.swaps
endif

bench-overload: .venv/.done  ## goodput at up to 10 times the capacity, models and callers beside hot ones, two minutes; QUICK=1 OUT=
	$(BIN)/python -m tests.bench.overload $(if $(OUT),--out '$(OUT)') $(if $(QUICK),--quick)

RESULTS ?= docs/performance/results.json
OVERLOAD ?= docs/overload/results.json
bench-page: .venv/.done  ## docs/performance.md, docs/overload.md, their pictures: from RESULTS=OUT/results.json OVERLOAD=OUT/results.json
	$(BIN)/python -m tests.bench --page $(RESULTS)
	$(BIN)/python -m tests.bench.overload --page $(OVERLOAD)

bench-faults: .venv/.done  ## docs/faults.md: what callers notice when one of three model servers fails, in each way; six minutes
	$(BIN)/python -m tests.bench.faults

docs-picture: .venv/.done  ## docs/page.png, docs/page-changes.png: the page as a browser shows it; trains a model, a minute
	$(BIN)/python -m tests.page_picture

trace-picture: .venv/.done  ## docs/traces.svg: a request's way through gateway and model server, as a collector gets it
	$(BIN)/python -m tests.bench.trace_picture

bench-score: .venv/.done  ## rows per second of scored files beside the in-process engine loop
	$(BIN)/python -m tests.bench.score

BABI ?= data/babi/en
bench-babi: .venv/.done  ## both question answering networks on the twenty bAbI tasks: BABI=folder of qa1_…_train.txt; resumes
	$(BIN)/python examples/babi/measure.py --data $(BABI)

wheel: .venv/.done  ## dist/signet_serving-…-none-any.whl, and one for machines like this: clients and gateway without TensorFlow
	@$(BIN)/python deploy/wheel.py dist

# pip itself, which a tool of the development asks for, is whichever one the environment was made with.
COMPILE := uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-package pip \
	--no-header --quiet
KSERVE_UNUSED := aiohttp aiohttp-retry aiosignal aiohappyeyeballs attrs cffi cryptography frozenlist grpcio-tools httptools \
	multidict pillow propcache pyasn1 pycparser pyjwt python-dotenv setuptools tzdata uvloop websockets yarl
lock: .venv/.done  ## pin every package again, with hashes: one file for each Python; the images' files are parts of it
	$(BIN)/$(COMPILE) --universal pyproject.toml --extra dev --output-file requirements.lock
	$(BIN)/$(COMPILE) pyproject.toml --constraint requirements.lock --extra gateway --extra otlp --output-file deploy/gateway.lock
	$(BIN)/$(COMPILE) pyproject.toml --constraint requirements.lock --extra gateway --extra otlp --extra s3 --extra gs --output-file deploy/model-store.lock
	$(BIN)/$(COMPILE) pyproject.toml --constraint requirements.lock --extra engine --extra otlp --extra build --output-file deploy/model-server.lock
	$(BIN)/$(COMPILE) pyproject.toml --constraint requirements.lock --extra training --output-file deploy/training.lock
	$(BIN)/$(COMPILE) tests/third_party/tritonclient.in --no-annotate --output-file tests/third_party/tritonclient.lock
	$(BIN)/$(COMPILE) tests/third_party/generators.in --no-annotate --output-file tests/third_party/generators.lock
	$(BIN)/$(COMPILE) tests/third_party/mlflow.in --no-annotate --constraint requirements.lock --output-file tests/third_party/mlflow.lock
	$(BIN)/$(COMPILE) tests/third_party/kserve.in --no-annotate $(KSERVE_UNUSED:%=--no-emit-package=%) \
		--output-file tests/third_party/kserve.lock
	$(BIN)/python -m tests.third_party.node_lock

images-check: BASE ?= docker.io/library/python:3.11-slim-bookworm
images-check: .venv/.done  ## build the images on BASE and run them: needs docker or podman; PIP_CONF=a pip configuration
	$(BIN)/python -m tests.deploy.images_check $(BASE) $(if $(PIP_CONF),--pip-conf $(PIP_CONF))

RULE := deploy/kubernetes/base/monitoring/prometheus-rule.yaml
deploy-files: .venv/.done  ## write again what is made from other files: the dashboard, Kubernetes's copy of the rules, the drawing of rooms, the tutorial as a notebook
	$(BIN)/python deploy/dashboard.py
	$(BIN)/python -m tests.architecture_drawing
	$(BIN)/python -m tests.notebooks
	@{ printf '# From deploy/prometheus/recording.yaml and alerts.yaml, by `make deploy-files`.\n'; \
	   printf 'apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: signet\nspec:\n  groups:\n'; \
	   sed -n '/^groups:/,$$ {/^groups:/d; s/^\(.\)/  \1/; p}' deploy/prometheus/recording.yaml deploy/prometheus/alerts.yaml; \
	} > $(RULE)

docs: .venv/.done  ## write again the tables in docs/ that are made from the code: settings, metrics
	$(BIN)/python -m tests.docs_tables

release-check: .venv/.done  ## whether this checkout can be released: versions, changes, made files, packages
	$(BIN)/python deploy/release_check.py
