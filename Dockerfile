# Two static programs in one image that holds nothing else. The command names
# the program: "/web" (the default) or "/worker run".
FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/ ./cmd/web ./cmd/worker

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/web /out/worker /
USER 65532:65532
EXPOSE 8080
CMD ["/web"]
