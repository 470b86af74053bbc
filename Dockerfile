# jaxprompt in a container, to train and to serve.
#
#     docker build -t jaxprompt .
#     docker build -t jaxprompt:cuda --build-arg EXTRAS=serve,cuda .
#
#     docker run --user "$(id -u)" -v $PWD:/work jaxprompt train --gin_file=... \
#         --workdir=runs/sst2
#     docker run --gpus all --user "$(id -u)" -v $PWD:/work jaxprompt:cuda train ...
#
# EXTRAS are those of pyproject.toml; `serve,official` reads benchmarks from TFDS.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim
ARG EXTRAS=serve
WORKDIR /jaxprompt
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY jaxprompt jaxprompt
COPY gin gin
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"
# The mode is for `--user`: whoever it names keeps compiled programs there.
RUN useradd --create-home --uid 1000 jaxprompt && chmod 777 /home/jaxprompt
ENV HOME=/home/jaxprompt
USER jaxprompt
WORKDIR /work
EXPOSE 8000
ENTRYPOINT ["jaxprompt"]
CMD ["--help"]
