# A board's image: Python, edgepose with one engine, headless OpenCV; no torch, no compiler, no root.
#
#   docker build -f docs/docker/board.Dockerfile --build-arg ENGINE=ncnn -t edgepose-board .
#   docker buildx build --platform linux/arm64 -f docs/docker/board.Dockerfile -t edgepose-board .   # for ARM, on a PC
#
# The build ends with `edgepose doctor`: an engine or OpenCV that does not load fails it. docs/boards.md says how to run it.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG ENGINE=ncnn
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY edgepose edgepose
COPY edge edge
COPY export export
COPY quantize quantize
COPY runtimes runtimes
COPY devices devices
RUN python3 -m venv /opt/pose \
 && /opt/pose/bin/pip install --no-cache-dir --only-binary :all: --constraint constraints.txt \
    "edgepose[${ENGINE}] @ file:///src"
# On x86-64 edgepose asks for the full OpenCV, which needs libraries of X11; both builds at once overwrite each other.
RUN /opt/pose/bin/pip uninstall --yes opencv-python opencv-python-headless \
 && /opt/pose/bin/pip install --no-cache-dir --no-deps --only-binary :all: --constraint constraints.txt \
    opencv-python-headless

FROM ${BASE}
COPY --from=build /opt/pose /opt/pose
ENV PATH=/opt/pose/bin:$PATH EDGEPOSE_CACHE=/data/cache PYTHONDONTWRITEBYTECODE=1
RUN useradd --create-home --uid 1000 pose && install -d -o pose -g pose /data
USER pose
WORKDIR /data
VOLUME /data
RUN edgepose doctor
ENTRYPOINT ["edgepose"]
CMD ["doctor"]
