# Everything a new user types: `make demo`, `make test`. Needs Python 3.11 to 3.14, a C++ compiler and the package registry.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# llama.cpp is compiled on this machine, as packaging/llama.cpp.cmake says. Set CMAKE_ARGS yourself for a GPU; the README
# says how.
LLAMA_CPP := $(abspath packaging/llama.cpp.cmake)
export CMAKE_ARGS ?= -DCMAKE_PROJECT_llama.cpp_INCLUDE=$(LLAMA_CPP) -DLLAMA_OPENSSL=OFF -DMTMD_VIDEO=OFF
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

.PHONY: demo test test-export test-wheel check train-lvlm clean

demo: $(VENV)/installed-cpu
	$(BIN)/vlm4rec-edge demo

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest

# Export and training need torch (about 200 MB for the CPU, several GB with CUDA), so they have a target of their own.
test-export: $(VENV)/installed-export
	$(BIN)/python -m pytest tests/export tests/training

# Makes the embedded model from a folder with items.csv and photos; run again to go on where it stopped.
CATALOG ?= catalog
RUN ?= lvlm-run
train-lvlm: $(VENV)/installed-export
	$(BIN)/python models/training/train.py $(CATALOG) --out $(RUN)

# The wheel must carry the models: installed into an empty environment, it runs from any folder. Installed once more without
# any extra, as on a device, it recommends from a bundle.
test-wheel: $(VENV)/installed-cpu
	rm -rf $(VENV)/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(VENV)/wheel .
	$(PYTHON) -m venv $(VENV)/wheel/empty
	$(VENV)/wheel/empty/bin/python -m pip install --quiet --disable-pip-version-check "$$(echo $(VENV)/wheel/*.whl)[cpu]"
	cd $(VENV)/wheel && empty/bin/vlm4rec-edge demo --out demo
	cd $(VENV)/wheel && empty/bin/vlm4rec-edge models verify --golden
	cd $(VENV)/wheel && empty/bin/vlm4rec-edge bundle demo/shop.index shop.zip
	$(PYTHON) -m venv $(VENV)/wheel/device
	$(VENV)/wheel/device/bin/python -m pip install --quiet --disable-pip-version-check $(VENV)/wheel/*.whl
	cd $(VENV)/wheel && device/bin/python $(abspath tests/on_a_device.py) shop.zip

# Without torch there is nothing to check its calls against, and with it its types change from release to release.
UNTYPED_TORCH := --follow-imports=skip --ignore-missing-imports --allow-subclassing-any --allow-untyped-calls \
	--allow-untyped-decorators --no-warn-return-any --no-warn-unused-ignores

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd export && $(abspath $(BIN))/mypy --strict --ignore-missing-imports --allow-subclassing-any *.py
	cd models/training && $(abspath $(BIN))/mypy --strict $(UNTYPED_TORCH) *.py

clean:
	rm -rf $(VENV) demo-output

$(VENV)/installed-cpu: pyproject.toml packaging/llama.cpp.cmake
	$(PYTHON) -m venv $(VENV)
	@echo "Installing; the first time llama.cpp is compiled, which takes 3 to 10 minutes."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu]"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed-cpu
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,dev]"
	touch $@

$(VENV)/installed-export: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[cpu,dev,export,train]"
	touch $@
