# heffl-mcp alone: a static program and the certificates by which it knows Heffl. There is no shell in it.
#
#   docker build -t heffl-mcp .
#   docker run -i --rm -e HEFFL_API_KEY -e HEFFL_MCP_STATE=postgres://... heffl-mcp
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY third_party third_party
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -buildid= -X main.release=$VERSION" -o /heffl-mcp .

FROM scratch
ARG OWNER=OWNER
# by this the MCP Registry knows whose image it is
LABEL io.modelcontextprotocol.server.name="io.github.${OWNER}/heffl-mcp"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /heffl-mcp /heffl-mcp
# nobody in particular, and not root
USER 65532:65532
ENTRYPOINT ["/heffl-mcp"]
