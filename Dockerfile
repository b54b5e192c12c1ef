# The bot's image: one static program, nothing else. Build it with
#   docker build -t twokey .
# or, where no container engine runs, with `go run ./cmd/image -o twokey.tar`:
# a test holds the two against each other. Certificate authorities and time
# zones are inside the program.
#
# The builder's digest belongs here once it was looked up (`just pin-images`);
# the source, the flags and the compiler's version alone decide what comes out.
ARG BUILDER=docker.io/library/golang:1.26.8-bookworm

FROM ${BUILDER} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -buildid=" -o /root-of-image/bot ./cmd/bot \
 && mkdir -p /root-of-image/etc/twokey /root-of-image/run/twokey /root-of-image/var/lib/twokey \
 && chmod 700 /root-of-image/run/twokey /root-of-image/var/lib/twokey \
 && chown 65532:65532 /root-of-image/run/twokey /root-of-image/var/lib/twokey \
 && find /root-of-image -exec touch -h -d @0 {} +

FROM scratch
COPY --from=build /root-of-image/ /
USER 65532:65532
WORKDIR /var/lib/twokey
ENTRYPOINT ["/bot"]
CMD ["serve", "--config", "/etc/twokey/twokey.yaml"]
HEALTHCHECK --interval=30s --timeout=5s CMD ["/bot", "health", "--config", "/etc/twokey/twokey.yaml"]
