# Every target does its own set-up, in $(VENV) and nowhere else. `make` alone lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
SETUP  := settings.ini setup.py pyproject.toml constraints.txt
ARGS   ?=
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal
.DEFAULT_GOAL := help
.PHONY: help demo test test-long notebooks lab bundle export clean-notebooks readme house docs docs-check docs-fresh explorer llms dist clean

help: ## this list
	@echo "make demo    draw 10 classes x 4 pictures into demo.png"
	@echo "make test    run every notebook and test"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-24s %s\n", $$1, $$2}'
	@echo
	@echo "The commands of the package (vim_generate and others) are in $(BIN): say  . $(BIN)/activate  to have them on your path."
	@echo "Each installs what it needs into $(VENV) first (PYTHON=..., VENV=... choose others; ARGS=... goes to the command)."

# ---- set-up: stamps in the environment, renewed when the requirements change ----

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3,10) and "vim_nb needs Python 3.10 or newer, this is %d.%d: say make PYTHON=..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(SETUP) | $(BIN)/python
	@echo "Installing the runtime into $(VENV), once (a minute or two, most of it torch) ..."
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(SETUP) | $(BIN)/python
	@echo "Installing the runtime and what development needs into $(VENV), once (two minutes or three) ..."
	@$(PIP) -e '.[dev]'
	@touch $(VENV)/.runtime $@

# ---- what one comes for ----

demo: $(VENV)/.runtime ## draw 10 classes x 4 pictures from the default bundle into demo.png
	@$(BIN)/python tools/demo.py $(ARGS)

test: $(VENV)/.dev ## every notebook and every test, the wheel in another environment too
	@$(PYTEST) -m "not long" $(ARGS)

test-long: $(VENV)/.dev ## what takes longer: campaigns of kills, long trainings
	@$(PYTEST) -m long $(ARGS)

notebooks: $(VENV)/.dev ## run the notebooks only
	@$(PYTEST) tests/test_notebooks.py $(ARGS)

lab: $(VENV)/.dev ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --notebook-dir=nbs $(ARGS)

bundle: $(VENV)/.dev ## train the default bundle again, all of it (over an hour; goes on where it was stopped)
	@$(BIN)/python tools/make_bundle.py $(ARGS)

# ---- for people who edit notebooks ----

export: $(VENV)/.dev ## write vim_nb/ from the notebooks
	@env -u IN_TEST $(BIN)/nbdev_export
	@$(BIN)/python tools/llms.py
	@for f in nbs/widgets/*.js nbs/widgets/*.css; do if [ -e $$f ]; then cp $$f vim_nb/widgets/; fi; done

clean-notebooks: $(VENV)/.dev ## strip the notebooks of what only makes diffs
	@$(BIN)/python tools/tidy.py

readme: $(VENV)/.dev ## write README.md from nbs/index.ipynb
	@$(BIN)/python tools/readme.py

house: $(VENV)/.dev ## the table of modules, and what breaks the rules of the house
	@$(BIN)/python tools/house.py

docs: $(VENV)/.dev ## build the site (needs Quarto 1.6.42)
	@command -v quarto >/dev/null || { echo "make docs needs Quarto 1.6.42 on PATH; make docs-check goes as far as one can without"; exit 1; }
	@$(BIN)/nbdev_docs

docs-check: $(VENV)/.dev ## process the notebooks as the site does, without Quarto, and count the pages
	@$(BIN)/python -m pytest tests/test_docs.py $(ARGS)

docs-fresh: $(VENV)/.dev ## run again the notebooks whose outputs the site shows
	@$(BIN)/python tools/docs_fresh.py $(ARGS)

explorer: $(VENV)/.dev ## write nbs/code_explorer.html, the default bundle's codes on a page that needs no kernel
	@$(BIN)/python tools/explorer_page.py

llms: $(VENV)/.dev ## write nbs/llms.txt, the public face on one page, from the docments
	@$(BIN)/python tools/llms.py

dist: $(VENV)/.dev ## build the wheel and the source archive into dist/
	@$(BIN)/python -m build --no-isolation $(ARGS)

clean: ## remove what was built (not the environment, not runs/)
	@rm -rf build dist _proc _docs *.egg-info .pytest_cache demo.png
