# Sourced by ./run and ./test: installs what is missing, configures and builds. POSIX sh.
# Everything it says goes to stderr: the output of the program is the program's own.

PACKAGES_BUILD="gcc libc6-dev meson ninja-build pkg-config python3 libmicrohttpd-dev
    libcurl4-gnutls-dev libuv1-dev librocksdb-dev libssl-dev libxxhash-dev libutf8proc-dev
    libpcre2-dev zlib1g-dev libyaml-dev libjemalloc-dev"
PACKAGES_TEST="clang clang-tidy clang-format cppcheck libclang-rt-14-dev python3-venv python3-yaml curl git
    nodejs npm"

# Names of the packages among "$@" that are not there. A program that came another way (a newer
# node, say) counts as its package.
missing_packages() {
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
        sed -n 's/^installed //p')
    for package in "$@"; do
        case " $(echo "$installed" | tr '\n' ' ') " in
        *" $package "*) continue ;;
        esac
        case $package in
        nodejs) command -v node >/dev/null && continue ;;
        gcc | meson | pkg-config | python3 | clang | clang-tidy | clang-format | cppcheck | curl | git | npm)
            command -v "$package" >/dev/null && continue
            ;;
        ninja-build) command -v ninja >/dev/null && continue ;;
        esac
        echo "$package"
    done
}

# install_packages PACKAGE...: apt only when something is missing.
install_packages() {
    if ! command -v dpkg-query >/dev/null; then
        echo "note: this is no Debian: packages are not checked" >&2
        return 0
    fi
    # shellcheck disable=SC2046
    set -- $(missing_packages "$@")
    [ $# -gt 0 ] || return 0
    as_root=
    if [ "$(id -u)" != 0 ]; then
        as_root=sudo
        if ! command -v sudo >/dev/null; then
            echo "missing packages: $*" >&2
            echo "hint: install them as root: apt-get install $*" >&2
            return 1
        fi
    fi
    echo "installing: $*" >&2
    install_log=$(mktemp)
    if ! { $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends "$@"; } \
        >"$install_log" 2>&1 </dev/null; then
        tail -n 20 "$install_log" >&2
        rm -f "$install_log"
        echo "could not install: $*" >&2
        return 1
    fi
    rm -f "$install_log"
}

# build_in DIR [MESON OPTION...] -- [TARGET...]: configures DIR once, then builds. Quiet unless it
# fails. Run from the root.
build_in() {
    build_dir=$1
    shift
    build_options=
    while [ $# -gt 0 ] && [ "$1" != "--" ]; do
        build_options="$build_options $1"
        shift
    done
    [ $# -eq 0 ] || shift
    mkdir -p .cache
    build_log=.cache/$build_dir.log
    if [ ! -f "$build_dir/build.ninja" ]; then
        echo "configuring $build_dir" >&2
        # shellcheck disable=SC2086
        meson setup "$build_dir" $build_options >"$build_log" 2>&1 || {
            rm -rf "$build_dir/meson-private/coredata.dat"
            tail -n 30 "$build_log" >&2
            return 1
        }
    fi
    if ! ninja -C "$build_dir" -n "$@" 2>/dev/null | grep -q 'no work to do'; then
        echo "building $build_dir" >&2
    fi
    ninja -C "$build_dir" "$@" >"$build_log" 2>&1 || {
        grep -v '^\[[0-9]*/[0-9]*\] ' "$build_log" | tail -n 100 >&2
        return 1
    }
}
