# The commands of this project; `make run` and `make test` need nothing set up before them.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
export PORT
# Like pip, uv trusts the certificates of this machine: a proxy may have its own.
export UV_SYSTEM_CERTS := true
# Development mode shows every warning; its checks of each allocation would cost a third of the time.
# What no database can change is tried once.
NO_DATABASE := audit celery_checks checks cookies cors deployment_checks generated_requests \
  guess_checks guides headers house_rules last_resort log_format moving_over plain_http schema \
  security_page settings settings_page silent_thief start tokens trail_checks web_server wheel
PYTEST := PYTHONMALLOC=pymalloc $(BIN)/python -X dev -m pytest --numprocesses=2 --dist=worksteal

.PHONY: run manage demo test check soak bench requirements schema clean

run: $(VENV)/.local  ## Start everything on this machine: PostgreSQL, Valkey, web, worker, beat.
	@$(BIN)/python -m backend.dev run

manage:  ## Run a command of manage.py on the running stack: make manage ARGS=createsuperuser
	@test -f $${LOCAL_DIR:=.local}/environment || { echo "No stack runs in $$LOCAL_DIR: start one with make run."; exit 1; }; \
	  . $$LOCAL_DIR/environment && $(BIN)/python manage.py $(ARGS)

demo: $(VENV)/.local  ## Show the life of a session over HTTP: on a stack of its own, or make demo URL=... PASSWORD=...
	@$(BIN)/python $(if $(URL),docs/examples/story.py,-m backend.dev demo)

test: check  ## Set up, then the whole gate.

check: $(VENV)/.test tests/clients/node_modules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy .
	$(BIN)/bandit -q -c pyproject.toml -r authx tasks backend
	@echo "== deployment checks, migrations, schema"
	@SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	  DATABASE_URL='postgres://db.invalid/app?sslmode=verify-full' REDIS_URL=rediss://redis.invalid \
	  ALLOWED_HOSTS=api.example.com NUM_PROXIES=1 CORS_ALLOWED_ORIGINS=https://app.example.com EMAIL_URL=smtp://mail.invalid \
	  $(BIN)/python -W error manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file .local/schema.yaml
	diff -u schema.yaml .local/schema.yaml
	$(PYTEST) --cov --cov-report=term-missing
	@echo "== what must also hold on SQLite"
	DATABASE_URL=sqlite:///.local/test.sqlite3 $(PYTEST) -q -m "not postgresql and not soak" $(addprefix --ignore=tests/test_,$(NO_DATABASE:=.py))
	@echo "== known weaknesses of what production runs"
	@$(BIN)/python -m tests.audit -r requirements/base.txt

soak: $(VENV)/.test tests/clients/node_modules  ## Run the tests that take minutes, and print what they report.
	$(PYTEST) -m soak -rP

bench: $(VENV)/.bench  ## Measure beside other systems, write docs/performance.md: make bench ARGS="--calls 50 --rows 50000"
	@$(BIN)/python -W ignore -m tests.benchmarks $(ARGS)

schema: $(VENV)/.test  ## Write schema.yaml anew.
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file schema.yaml

requirements: $(VENV)/.test  ## Compile requirements/*.in to hashed *.txt.
	@cd requirements && for name in base uv local test bench; do \
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

tests/clients/node_modules: tests/clients/package-lock.json
	@command -v npm >/dev/null || { echo "No Node here: what needs it is skipped."; exit 0; }; \
	  cd tests/clients && npm ci --silent --no-audit --no-fund && touch node_modules

clean:  ## Forget the virtual environment, the local data and every cache.
	rm -rf $(VENV) .local .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage \
	  tests/clients/node_modules tests/clients/build
