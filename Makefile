# Everything runs in .venv, which these targets make from Python 3.11 or later.
PYTHON ?= python3
EXTRAS ?= dev
BIN := .venv/bin
INSTALLED := .venv/.installed-$(EXTRAS)
DEMO := build/skills

.PHONY: setup quickstart test check

setup: $(INSTALLED)

# t5 asks for nightly packages that overwrite files of seqio and tensorflow-datasets, so
# it is installed alone; all that it imports is in pyproject.toml.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRAS)]"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps t5
	@touch $@

# A tiny T5 that knows four skills, and a prompt that calls one of them up.
quickstart: setup $(DEMO)
	$(BIN)/jaxprompt train --gin_file=gin/runs/prompt_tuning.gin \
		--gin_file=gin/recipes/quickstart/skill.gin --workdir=build/quickstart
	@echo
	@echo 'A sentence, and what the prompt makes the frozen model say about it:'
	head -n 3 $(DEMO)/last/validation.jsonl | \
		$(BIN)/jaxprompt predict --prompt=build/quickstart/prompt.safetensors
	@echo
	@echo 'Next: a real model on real data. Download SST-2 into glue_data/SST-2, then'
	@echo '  $(BIN)/jaxprompt train --gin_file=gin/runs/prompt_tuning.gin \'
	@echo '    --gin_file=gin/tasks/sst2.gin --gin_file=gin/models/t5_1_1_small_lm.gin \'
	@echo '    --gin.DATA_DIR="'"'glue_data'"'" --workdir=sst2'

$(DEMO): | setup
	$(BIN)/python tools/make_skills.py $@

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
