# callchart in a container: `docker build -t callchart .`, then `docker run --env-file .env -p 8080:8080 callchart`.
# Everything but the base image comes from the lock, by hash; nothing is compiled.

FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/callchart
WORKDIR /build
COPY requirements.lock ./
RUN /opt/callchart/bin/python -m pip install --require-hashes --no-deps --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY fsm fsm
COPY handlers handlers
COPY adapters adapters
RUN /opt/callchart/bin/python -m pip install --no-deps --no-build-isolation .


FROM python:3.11-slim-bookworm

# A fixed number, so that a volume's owner can be told from outside.
RUN useradd --uid 10001 --user-group --no-log-init --create-home --home-dir /var/lib/callchart callchart
COPY --from=build /opt/callchart /opt/callchart

ENV PATH=/opt/callchart/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CALLCHART_HOST=0.0.0.0 \
    CALLCHART_DATA_DIR=/var/lib/callchart

USER callchart
WORKDIR /var/lib/callchart
VOLUME /var/lib/callchart
EXPOSE 8080

# The port is a setting: CALLCHART_PORT, else PORT, else 8080. A draining process is healthy; only /readyz says no.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-c", "\
import os, urllib.request as http; \
port = os.environ.get('CALLCHART_PORT') or os.environ.get('PORT') or '8080'; \
http.urlopen(f'http://127.0.0.1:{port}/livez', timeout=2)"]

# SIGTERM drains: give it longer than DRAIN_GRACE (30 s), e.g. `docker stop --time 45`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["callchart"]
CMD ["serve"]
