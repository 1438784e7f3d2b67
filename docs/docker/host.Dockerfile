# A host's image: everything that exports, quantizes, trains and checks; torch for the CPU, pinned and first. x86-64.
#
#   docker build -f docs/docker/host.Dockerfile -t edgepose-host .
#
# The build ends with `edgepose doctor`: an engine or OpenCV that does not load fails it. docs/boards.md says how to run it.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE}
# Where torch without CUDA is: the package index has the CUDA build, several GB larger.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY constraints.txt ./
RUN python3 -m venv /opt/pose \
 && /opt/pose/bin/pip install --no-cache-dir --constraint constraints.txt --index-url "${TORCH_INDEX}" torch
COPY pyproject.toml README.md LICENSE ./
COPY edgepose edgepose
COPY edge edge
COPY export export
COPY quantize quantize
COPY runtimes runtimes
COPY devices devices
# The full OpenCV, which edgepose asks for on x86-64, needs libraries of X11; both builds at once overwrite each other.
RUN /opt/pose/bin/pip install --no-cache-dir --constraint constraints.txt "edgepose[all] @ file:///src" \
 && /opt/pose/bin/pip uninstall --yes opencv-python opencv-python-headless \
 && /opt/pose/bin/pip install --no-cache-dir --no-deps --constraint constraints.txt opencv-python-headless
ENV PATH=/opt/pose/bin:$PATH EDGEPOSE_CACHE=/data/cache
RUN useradd --create-home --uid 1000 pose && install -d -o pose -g pose /data
USER pose
WORKDIR /data
VOLUME /data
RUN edgepose doctor
ENTRYPOINT ["edgepose"]
CMD ["doctor"]
