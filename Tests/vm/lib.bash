# What scenarios share. A scenario is an executable file in Tests/vm that sources this one, says `verdict STATUS WORDS` after each step and
# ends with `finish`. A line "# Machine: OPTIONS" in it asks Scripts/vm for a machine with those options; scenarios that ask for the same run
# in one machine, one after the other, so each leaves it as it was. A line "# Before: COMMAND" has that done outside, before it starts. A line "# CI: 12 13" names the releases of Debian's on which CI runs it;
# `make test-vm` runs all, on whichever release.
#
# Nothing may depend on how fast the machine is: conditions are waited for, figures are printed and not judged.
set -uo pipefail
folder=${FOLDER:-.build/release}
userdriver=$folder/userdriver
work=$(mktemp -d)
passed=0 failed=0
export USERDRIVER_RUNTIME_DIR=${USERDRIVER_RUNTIME_DIR-/run/userdriver-test}
# Which Debian this machine is: 12, 13.
debian=$(. /etc/os-release && echo "$VERSION_ID")

verdict() {
    if [ "$1" = 0 ]; then passed=$((passed + 1)) && echo "PASS  $2"; else failed=$((failed + 1)) && echo "FAIL  $2 (status $1)"; fi
}

# Waits for a condition of the world outside this script, at most two minutes (or $2 seconds).
until_true() {
    local end=$((SECONDS + ${2:-120}))
    until eval "$1"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

# Ends the scenario: its logs where something failed, its count where nobody else counts, its exit status.
finish() {
    local log
    if [ "$failed" != 0 ]; then
        for log in "$work"/*.log; do
            [ -s "$log" ] || continue
            echo "--- the end of ${log##*/}:"
            tail -n "${LOG_LINES:-25}" "$log"
        done
        echo "--- the end of dmesg:"
        dmesg | tail -n 25
    fi
    rm -rf "$work"
    [ -n "${COUNTED:-}" ] || echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}

# --- The emulated camera

# Serves a camera at port $1 with the options that follow; $server is its process.
emulate() {
    local port=$1
    shift
    "$userdriver" emulate webcam --port "$port" "$@" >> "$work/emulated.log" 2>&1 & server=$!
    until_true "usbip --tcp-port $port list -r 127.0.0.1 > /dev/null 2>&1"
}
# Plugs the camera of port $1 in (3240).
plug() { usbip --tcp-port "${1:-3240}" attach -r 127.0.0.1 -b 1-1; }
# Unplugs what is in vhci's port $1; without it, the first that is in use.
unplug() {
    local port=${1:-$(usbip port 2>/dev/null | sed -n 's/^Port 0*\([0-9][0-9]*\):.*/\1/p' | head -1)}
    usbip detach -p "$port" > /dev/null 2>&1
}
# Names in /sys/bus/usb/devices of the devices whose product is called like $1.
devices_called() { local file; for file in $(grep -l "$1" /sys/bus/usb/devices/*/product 2>/dev/null); do basename "$(dirname "$file")"; done; }
camera() { devices_called Webcam | head -1; }
# The kernel's driver of the control interface: uvcvideo, usbfs or nothing.
bound() { basename "$(readlink "/sys/bus/usb/devices/${1:-$(camera)}:1.0/driver" || echo none)"; }

# --- What the kernel says

# Its own words about a fault. vhci_hcd tells of every transfer that is cancelled; that is none.
complaints() {
    dmesg | grep -E 'WARNING|BUG|Oops|Call Trace|not running at top speed|Invalid|Failed to (query|set)|unrecognized|error -[0-9]+' \
        | grep -v 'vhci_hcd'
}
# CPU time of a process so far, in clock ticks (hundredths of a second).
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat" 2>/dev/null || echo 0; }

# --- The project, installed as a user would have it

# Unpacks what `make install DESTDIR=.build/vm/install` made, and does what `make install` does on a user's machine.
install_project() {
    cp -r --no-preserve=ownership .build/vm/install/. / && /usr/lib/userdriver/activate
}
