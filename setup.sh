#!/usr/bin/env bash
# Sets up a fresh Debian or Ubuntu machine with Node.js: compiler and build tools, npm packages, the addon and the library.
# Running it again is harmless and only does what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { printf '[setup] %s\n' "$*"; }
fail() {
  printf '[setup] %s\n' "$@" >&2
  exit 1
}

check_node() {
  command -v node >/dev/null || fail 'Node.js is not installed. Install version 20.19 or newer: https://nodejs.org/en/download'
  command -v npm >/dev/null || fail 'npm is not installed. It comes with Node.js from https://nodejs.org/en/download; on Debian also: apt-get install npm'
  node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' ||
    fail "Node.js $(node --version) is too old: version 20.19 or newer is needed (https://nodejs.org/en/download)."
  say "Node.js $(node --version), npm $(npm --version 2>/dev/null)"
}

# The Debian packages of the build tools that are not there yet.
missing_packages() {
  command -v c++ >/dev/null || echo g++
  command -v make >/dev/null || echo make
  command -v cmake >/dev/null || echo cmake
  command -v python3 >/dev/null || echo python3
}

install_build_tools() {
  local packages as_root=()
  mapfile -t packages < <(missing_packages)
  if [ ${#packages[@]} -eq 0 ]; then
    say 'build tools: all there'
    return
  fi
  command -v apt-get >/dev/null || fail "Missing: ${packages[*]}. There is no apt-get here: install them with your system's package manager, then run ./setup.sh again."
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail 'Missing build tools. As root, run:' "  apt-get update && apt-get install -y ${packages[*]}" 'then run ./setup.sh again.'
    as_root=(sudo)
  fi
  say "build tools: installing ${packages[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

check_node
install_build_tools
say 'npm packages, then the addon and the library (a few minutes)'
# onnxruntime-node, which the benchmarks compare with, would otherwise fetch its GPU libraries on some machines.
export ONNXRUNTIME_NODE_INSTALL=skip
npm ci
say 'done'
