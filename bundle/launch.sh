#!/bin/sh
# Starts the program for this machine. Hosts start this by /bin/sh, and it sets the programs' mode, because some
# unpack bundles without modes.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
case $(uname -s)/$(uname -m) in
Darwin/*) program=$here/heffl-mcp-darwin ;;
Linux/x86_64 | Linux/amd64) program=$here/heffl-mcp-linux-amd64 ;;
Linux/aarch64 | Linux/arm64) program=$here/heffl-mcp-linux-arm64 ;;
*)
  echo "heffl-mcp: this bundle has no program for $(uname -s) on $(uname -m); it has them for macOS, and for Linux on amd64 and arm64" >&2
  exit 1
  ;;
esac
[ -x "$program" ] || chmod u+x "$program"
exec "$program" "$@"
