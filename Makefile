# Everything runs in .venv, which these targets make from Python 3.11, 3.12 or 3.13.
PYTHON ?= python3
EXTRAS ?= dev
BIN := .venv/bin
DEMO := build/skills
QUICKSTART := build/quickstart

QUICKSTART_REAL := build/quickstart-real

.PHONY: setup quickstart quickstart-real test test-long bench docs check

setup: .venv/.installed-$(EXTRAS)

# The name of the file says which extras are there.
.venv/.installed-%: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 14))' || \
		echo "$(PYTHON) is newer than 3.13, the newest that was tried"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	$(BIN)/python -m compileall -q jaxprompt  # As pip does for what is not editable.
	@touch $@

# Five prompts at once for the bundled T5 on bundled sentences, and their vote: offline,
# and all of it is in the clone.
quickstart: setup
	$(BIN)/jaxprompt train --gin_file=gin/runs/prompt_tuning.gin \
		--gin_file=gin/recipes/quickstart/mini_sentiment.gin \
		--gin.SEEDS=5 --gin.BATCH_SIZE=16 --gin.STEPS=200 --workdir=$(QUICKSTART)
	@echo
	@echo 'Two new sentences, answered by the frozen model behind the first prompt:'
	printf '%s\n' '{"sentence": "The garden was lovely and we laughed all evening."}' \
		'{"sentence": "The road was dreadful and the host was cruel to us."}' | \
		$(BIN)/jaxprompt predict --prompt=$(QUICKSTART)/prompts/mini_sentiment-0.safetensors
	@echo
	@echo 'Open $(QUICKSTART)/report.html: scores, learning curves, what the prompt is near.'
	@echo
	@echo 'Next, a real model from the Hub. On the same sentences:'
	@echo '  $(BIN)/jaxprompt train --gin_file=gin/runs/prompt_tuning.gin \'
	@echo '    --gin_file=gin/recipes/quickstart/mini_sentiment.gin \'
	@echo '    --gin_file=gin/models/t5_1_1_small_lm.gin --workdir=runs/small'
	@echo 'and on SST-2, which TFDS downloads:'
	@echo '  $(BIN)/jaxprompt train --gin_file=gin/runs/prompt_tuning.gin \'
	@echo '    --gin_file=gin/tasks/sst2.gin --gin_file=gin/models/t5_1_1_small_lm.gin \'
	@echo '    --workdir=runs/sst2'

# A prompt for a real model on twenty hand-written rows: give SmolLM2-135M-Instruct as
# MODEL, a GGUF file or a Hub name.
quickstart-real: setup
	@test -n '$(MODEL)' || { echo 'which model? make quickstart-real \
		MODEL=SmolLM2-135M-Instruct.Q4_1.gguf'; exit 1; }
	$(BIN)/jaxprompt train --gin_file=gin/runs/prompt_tuning.gin \
		--gin_file=gin/recipes/quickstart/smollm2.gin --gin.MODEL="'$(MODEL)'" \
		--workdir=$(QUICKSTART_REAL)
	@echo
	@echo 'Three new sentences, answered by the frozen model behind the prompt:'
	printf '%s\n' '{"sentence": "We laughed all evening and went back the next day."}' \
		'{"sentence": "The soup was cold and nobody said sorry."}' \
		'{"sentence": "The hinge squeaks, but the door has never closed so well."}' | \
		$(BIN)/jaxprompt predict --prompt=$(QUICKSTART_REAL)/prompt.safetensors

# A tiny T5 that knows four skills, for gin/recipes/quickstart/skill.gin.
$(DEMO): | setup
	$(BIN)/python tools/make_skills.py $@

# Two processes, for compiling takes one core at a time; a file's tests share fixtures,
# and tests/conftest.py says which files begin first.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=40

# All that `make test` leaves out, ten times as many examples of each property, and every
# fault twenty times: half an hour or more.
test-long: setup
	TRY_MORE=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		--durations=40 -m ''
	$(BIN)/python tools/fault_table.py --times 20

# Every benchmark against PEFT, as one page: give the folder of SuperGLUE's official files
# as DATA and one with T5's own vocabulary as VOCABULARY. Wants EXTRAS=dev,parity.
bench: setup
	@test -n '$(DATA)' -a -n '$(VOCABULARY)' || { echo 'which data? make bench \
		EXTRAS=dev,parity DATA=superglue VOCABULARY=t5'; exit 1; }
	$(BIN)/python tools/bench.py --data='$(DATA)' --vocabulary='$(VOCABULARY)'

# The site of docs/ and the docstrings, in build/site; any warning ends it.
docs: .venv/.installed-docs
	$(BIN)/mkdocs build --strict

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
