# Tidemark in an image: `docker build --tag tidemark .` (docs/deployment.md).

FROM python:3.13-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/tidemark
COPY requirements/*.txt requirements/
# The extras that the image has beside the core, such as `--build-arg EXTRAS=dashboard`: each has its pins in requirements.
ARG EXTRAS=""
# The libraries are a layer of their own, which is built again only when a pin changes.
RUN set -- -r requirements/runtime.txt \
    && for extra in $EXTRAS; do set -- "$@" -r "requirements/$extra.txt"; done \
    && /opt/tidemark/bin/python -m pip install --no-cache-dir --require-hashes "$@" \
    && python -m pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip wheel --no-build-isolation --no-deps --no-index --wheel-dir dist . \
    && /opt/tidemark/bin/python -m pip install --no-deps --no-index dist/tidemark-*.whl

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/tidemark tidemark
COPY --from=build /opt/tidemark /opt/tidemark
ENV PATH=/opt/tidemark/bin:$PATH
USER 10001
# With the default settings, change log, star and pointer lie here: mount a volume, and keep it.
WORKDIR /var/lib/tidemark
VOLUME /var/lib/tidemark
# A baseline may take long; after it, three rounds may fail before the container counts as unhealthy.
HEALTHCHECK --interval=5m --timeout=1m --start-period=30m CMD ["tidemark", "status", "--check"]
ENTRYPOINT ["tidemark"]
CMD ["run", "--every", "10m"]
