# The source of Debian packages; sourced by the scripts that fetch them.

# The Debian mirror that this machine's apt uses, or PAGEMESH_DEBIAN_MIRROR.
mirror() {
  if [[ -n ${PAGEMESH_DEBIAN_MIRROR:-} ]]; then echo "$PAGEMESH_DEBIAN_MIRROR"; return; fi
  {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
      sed -nE 's/^deb +(\[[^]]*\] *)?([^ ]+) .*$/\2/p'
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -nE 's/^URIs: *([^ ]+).*$/\1/p'
  } | grep -E '/debian(/.*)?$' | grep -v security | head -1
}
