# The program alone in an image: no shell, no user database, nothing to update but it and the CA roots.
# `docker build .` builds it from source and needs a registry; `make image` builds the last stage alone out of what the
# machine has and needs none. For several platforms: `docker buildx build --platform linux/amd64,linux/arm64 .`, which
# builds each under its own TARGETARCH, natively or emulated.

# Alpine's own target is musl: the program is static as it comes. ring has C in it.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache gcc musl-dev ca-certificates
WORKDIR /source
COPY . .
ARG TARGETARCH
RUN --mount=type=cache,target=/usr/local/cargo/registry,id=registry \
    --mount=type=cache,target=/source/target,id=target-$TARGETARCH \
    cargo build --locked --release --bin cocoasyncer \
 && mkdir -p /image/etc/ssl/certs /image/data \
 && cp target/release/cocoasyncer /image/ \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/

# What `make image` builds too: it takes the same folder from elsewhere.
FROM scratch
COPY --from=build /image/cocoasyncer /cocoasyncer
COPY --from=build /image/etc /etc
COPY --chown=65532:65532 --from=build /image/data /data
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="CocoaSyncer Operator" \
      org.opencontainers.image.description="DNS per ISP line that follows the sites that live" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The CocoaSyncer Operator authors" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
USER 65532:65532
# `standalone` keeps its objects here; `run` writes nothing.
ENV COCOASYNCER_DATA_DIR=/data
EXPOSE 44443/tcp 44480/tcp 1053/udp 1053/tcp 9443/tcp
ENTRYPOINT ["/cocoasyncer"]
