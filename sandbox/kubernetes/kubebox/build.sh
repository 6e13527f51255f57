#!/bin/sh
# Builds kubebox: sh build.sh OUT. Needs Go 1.25 or newer; the modules are those of go.sum and nothing else.
set -eu
cd "$(dirname "$0")"
version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)
minor=$(echo "$version" | cut -d. -f2)
# The libraries take the version from the linker; without it clients can't tell which Kubernetes they talk to.
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor"
  flags="$flags -X $package.gitCommit=0000000 -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
done
export CGO_ENABLED=0
exec go build -mod=readonly -buildvcs=false -trimpath -tags providerless,grpcnotrace -ldflags "$flags" -o "$1" .
