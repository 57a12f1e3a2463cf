# The commands of this project; `make run` and `make test` need nothing set up before them.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
export PORT
# Like pip, uv trusts the certificates of this machine: a proxy may have its own.
export UV_SYSTEM_CERTS := true
# Tests start some hundred processes, which import the same modules: the first compiles them.
unexport PYTHONDONTWRITEBYTECODE
# A test that waits for a server leaves its core to another one.
PYTEST := -m pytest --numprocesses=3 --dist=worksteal

.PHONY: run manage demo test check lint types deployment tests portable audit soak bench cluster load matrix docs messages requirements schema clean

run: $(VENV)/.local  ## Start everything on this machine: PostgreSQL, Valkey, web, worker, beat.
	@$(BIN)/python -m backend.dev run

manage:  ## Run a command of manage.py on the running stack: make manage ARGS=createsuperuser
	@test -f $${LOCAL_DIR:=.local}/environment || { echo "No stack runs in $$LOCAL_DIR: start one with make run."; exit 1; }; \
	  . $$LOCAL_DIR/environment && $(BIN)/python manage.py $(ARGS)

demo: $(VENV)/.local  ## Show the life of a session over HTTP: on a stack of its own, or make demo URL=... PASSWORD=...
	@$(BIN)/python $(if $(URL),docs/examples/story.py,-m backend.dev demo)

test: check  ## Set up, then the whole gate.

check: lint  ## The gate: lint first, then the rest side by side.
	@$(MAKE) --no-print-directory --jobs=3 tests types portable deployment audit

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r authx tasks backend
	$(BIN)/hadolint docker/Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker/compose.yaml

types: $(VENV)/.test
	$(BIN)/mypy .

deployment: $(VENV)/.test  ## Deployment checks, migrations, schema.
	@SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	  DATABASE_URL='postgres://db.invalid/app?sslmode=verify-full' REDIS_URL=rediss://redis.invalid \
	  ALLOWED_HOSTS=api.example.com NUM_PROXIES=1 CORS_ALLOWED_ORIGINS=https://app.example.com \
	  EMAIL_URL=smtp://mail.invalid DEFAULT_FROM_EMAIL=noreply@example.com \
	  $(BIN)/python -W error manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file .local/schema.yaml
	diff -u schema.yaml .local/schema.yaml

tests: $(VENV)/.test tests/clients/node_modules  ## All tests at their small size, on PostgreSQL, with coverage.
	MAKEFLAGS= $(BIN)/python $(PYTEST) --cov --cov-report=term-missing

portable: $(VENV)/.test  ## What depends on the dialect of SQL, on SQLite.
	DATABASE_URL=sqlite:///.local/test.sqlite3 $(BIN)/python -m pytest -q -p no:schemathesis \
	  -m "portable and not postgresql" $$(grep -l mark.portable tests/test_*.py)

audit: $(VENV)/.test  ## Known weaknesses of what production runs.
	@$(BIN)/python -m tests.audit -r requirements/base.txt

# Development mode shows every warning; its checks of each allocation would cost a third of the time.
soak: export SOAK ?= 1
soak: $(VENV)/.test tests/clients/node_modules tests/clients/kotlin/node_modules  ## The same tests at length, in development mode: make soak SOAK=5
	PYTHONMALLOC=pymalloc $(BIN)/python -X dev $(PYTEST) --timeout=0 -rP

bench: $(VENV)/.bench  ## Measure beside other systems, write docs/performance.md: make bench ARGS="--calls 50 --rows 50000"
	@$(BIN)/python -W ignore -m tests.benchmarks $(ARGS)

cluster: $(VENV)/.cluster  ## Let nodes fail under 200 phones: make cluster ARGS="--asynchronous --phones 50 --only primary-killed"
	@$(BIN)/python -W ignore -m tests.cluster $(ARGS)

load: $(VENV)/.cluster  ## Measure that cluster beside many sessions: make load ARGS="--sessions 1000000 --seconds 60 --phones 100"
	@$(BIN)/python -W ignore -m tests.load $(ARGS)

matrix: $(VENV)/.test  ## The wheel with every version that this machine can build: make matrix ARGS="-l"
	@$(BIN)/nox --noxfile tests/matrix/noxfile.py $(ARGS)

docs: $(VENV)/.docs  ## Build the documentation in .local/site; a warning, such as a dead link, fails.
	@$(BIN)/python -m sphinx -W --keep-going -q -c docs -d .local/docs-cache . .local/site
	@echo "Open .local/site/index.html"

schema: $(VENV)/.test  ## Write schema.yaml anew.
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file schema.yaml

messages: $(VENV)/.test  ## Add new sentences to the catalogues of translations, and compile them.
	@$(BIN)/python -m tests.catalogues

requirements: $(VENV)/.test  ## Compile requirements/*.in to hashed *.txt.
	@cd requirements && for name in base uv local test bench cluster docs; do \
	  ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" \
	    $$name.in --output-file $$name.txt || exit 1; \
	done

$(VENV)/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed: name one, as in PYTHON=python3.12."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --retries 1 --disable-pip-version-check --require-hashes -r $< || \
	  { echo "$< is not installed: is the package index within reach?"; exit 1; }
	@touch $@

$(VENV)/.%: requirements/%.txt $(VENV)/.uv
	@echo "Installing requirements/$*.txt"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $< || \
	  { echo "$< is not installed: is the package index (UV_DEFAULT_INDEX) within reach?"; exit 1; }
	@touch $@

%/node_modules: %/package-lock.json
	@command -v npm >/dev/null || { echo "No Node here: what needs it is skipped."; exit 0; }; \
	  cd $* && npm ci --silent --no-audit --no-fund && touch node_modules

clean:  ## Forget the virtual environment, the local data and every cache.
	rm -rf $(VENV) .local .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage \
	  tests/clients/node_modules tests/clients/kotlin/node_modules tests/clients/build
