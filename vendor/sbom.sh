#!/bin/bash
# Writes an SPDX 2.3 document of what the program is built from, links to and is tested with: the packages of
# packages.tsv at the versions that are installed here.
#
#   vendor/sbom.sh [FILE]      default build/sbom.spdx.json
#
# Packages that are not installed are left out and named on stderr. The same machine gives the same document, but for its
# date, which SOURCE_DATE_EPOCH sets.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
out=${1:-build/sbom.spdx.json}
mkdir -p "$(dirname "$out")"

release=$(sed -n 's/^#define ENGINE_VERSION "\(.*\)"/\1/p' "$here/../engine/host/version.h")
created=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%dT%H:%M:%SZ)

installed=$(mktemp)
trap 'rm -f "$installed"' EXIT
# shellcheck disable=SC2046 # package names have no spaces
dpkg-query -W -f='${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${Homepage}\t${source:Package}\n' \
    $(tail -n +2 "$here/packages.tsv" | cut -f1) 2>/dev/null | sort -u >"$installed" || true
digest=$(cat "$here/packages.tsv" "$installed" | sha256sum | cut -c1-16)

awk -F'\t' -v release="$release" -v created="$created" -v digest="$digest" '
    function text(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return "\"" s "\"" }
    function encode(s) { gsub(/%/, "%25", s); gsub(/\+/, "%2B", s); gsub(/:/, "%3A", s); gsub(/~/, "~", s); return s }
    function id(name) { gsub(/[^A-Za-z0-9.-]/, "-", name); return "SPDXRef-Package-" name }
    BEGIN {
        kind["run"] = "RUNTIME_DEPENDENCY_OF"; kind["build"] = "BUILD_DEPENDENCY_OF"
        kind["test"] = kind["bench"] = "TEST_DEPENDENCY_OF"; kind["demo"] = "OPTIONAL_DEPENDENCY_OF"
    }
    FILENAME == ARGV[1] {
        if ($1 == "installed") { version[$2] = $3; arch[$2] = $4; home[$2] = $5; source[$2] = $6 }
        next
    }
    FNR == 1 { next }
    !($1 in version) { print "vendor/sbom.sh: " $1 " is not installed and left out" > "/dev/stderr"; next }
    { names[++n] = $1; scope[$1] = $3; licence[$1] = $4; why[$1] = $5 }
    END {
        print "{"
        print "  \"spdxVersion\": \"SPDX-2.3\","
        print "  \"dataLicense\": \"CC0-1.0\","
        print "  \"SPDXID\": \"SPDXRef-DOCUMENT\","
        print "  \"name\": " text("engine-" release) ","
        print "  \"documentNamespace\": " text("https://spdx.org/spdxdocs/engine-" release "-" digest) ","
        print "  \"creationInfo\": { \"created\": " text(created) ", \"creators\": [\"Tool: engine-vendor-sbom\"] },"
        print "  \"packages\": ["
        print "    { \"SPDXID\": \"SPDXRef-Package-engine\", \"name\": \"engine\", \"versionInfo\": " text(release) ","
        print "      \"downloadLocation\": \"NOASSERTION\", \"filesAnalyzed\": false, \"primaryPackagePurpose\": \"APPLICATION\","
        printf "      \"licenseConcluded\": \"Apache-2.0\", \"licenseDeclared\": \"Apache-2.0\", \"copyrightText\": \"NOASSERTION\" }"
        for (i = 1; i <= n; i++) {
            p = names[i]
            print ","
            print "    { \"SPDXID\": " text(id(p)) ", \"name\": " text(p) ", \"versionInfo\": " text(version[p]) ","
            print "      \"supplier\": \"Organization: Debian\", \"downloadLocation\": \"NOASSERTION\", \"filesAnalyzed\": false,"
            if (home[p] != "") print "      \"homepage\": " text(home[p]) ","
            print "      \"sourceInfo\": " text("Debian source package " source[p]) ", \"comment\": " text(why[p]) ","
            print "      \"licenseConcluded\": \"NOASSERTION\", \"licenseDeclared\": " text(licence[p]) ", \"copyrightText\": \"NOASSERTION\","
            print "      \"externalRefs\": [{ \"referenceCategory\": \"PACKAGE-MANAGER\", \"referenceType\": \"purl\","
            printf "        \"referenceLocator\": %s }] }", text("pkg:deb/debian/" p "@" encode(version[p]) "?arch=" arch[p] "&distro=debian-12")
        }
        print "\n  ],"
        print "  \"relationships\": ["
        printf "    { \"spdxElementId\": \"SPDXRef-DOCUMENT\", \"relationshipType\": \"DESCRIBES\", \"relatedSpdxElement\": \"SPDXRef-Package-engine\" }"
        for (i = 1; i <= n; i++) {
            printf ",\n    { \"spdxElementId\": %s, \"relationshipType\": %s, \"relatedSpdxElement\": \"SPDXRef-Package-engine\" }",
                text(id(names[i])), text(kind[scope[names[i]]])
        }
        print "\n  ]"
        print "}"
    }' "$installed" "$here/packages.tsv" >"$out.tmp"
mv "$out.tmp" "$out"
