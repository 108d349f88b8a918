# What the scenarios of the supervisor's way over usbfs share. Nothing in them depends on how fast the machine is: frames are counted, never
# their rate; what was lost is printed and not judged.
set -uo pipefail
folder=${FOLDER:-.build/release}
export USERDRIVER_RUNTIME_DIR=/run/userdriver-test
userdriver=$folder/userdriver
work=$(mktemp -d)
passed=0 failed=0

verdict() {
    if [ "$1" = 0 ]; then passed=$((passed + 1)) && echo "PASS  $2"; else failed=$((failed + 1)) && echo "FAIL  $2 (status $1)"; fi
}
# Waits for a condition of the world outside this script, at most two minutes.
until_true() {
    local end=$((SECONDS + 120))
    until eval "$1"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}
finish() {
    if [ "$failed" != 0 ]; then
        for log in "$work"/*.log; do [ ! -s "$log" ] || { echo "--- the end of ${log##*/}:"; tail -n 25 "$log"; }; done
        echo "--- the end of dmesg:"; dmesg | tail -n 25
    fi
    rm -rf "$work"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}
camera() { basename "$(dirname "$(grep -l Webcam /sys/bus/usb/devices/*/product | head -1)")"; }
# The kernel's driver of interface $1 of the device $2: uvcvideo, usbfs or nothing.
bound() { basename "$(readlink "/sys/bus/usb/devices/${2:-$(camera)}:1.${1:-0}/driver" || echo none)"; }
node() { printf '/dev/bus/usb/%03d/%03d' "$(cat "/sys/bus/usb/devices/$1/busnum")" "$(cat "/sys/bus/usb/devices/$1/devnum")"; }
state() { "$userdriver" status 2>/dev/null | awk '$1 ~ /^[0-9a-f]+:[0-9a-f]+:/' | head -1; }
is() { state | grep -q " $1 "; }
driver() { "$userdriver" status --json | grep -o '"pid" *: *[0-9]*' | head -1 | grep -o '[0-9]*$'; }
# The nodes that the driver holds open: one file, or two where a stream has its own.
usbfs_files() { find "/proc/$(driver)/fd" -lname '/dev/bus/usb/*' -printf '%l\n' 2>/dev/null | paste -s -d ' '; }
# What `userdriver stream` says of frames whose bytes do not belong together.
whole() { grep -q '"torn":0' "$1"; }
start_daemon() {
    mkdir -p "$work/state"
    "$folder/userdriverd" --runtime-dir $USERDRIVER_RUNTIME_DIR --state-dir "$work/state" --drivers "${drivers:-$folder}" "$@" >> "$work/daemon.log" 2>&1 &
    daemon=$!
}
stop_daemon() { kill "$daemon"; wait "$daemon"; }
serve() {
    "$userdriver" emulate webcam "$@" > "$work/emulated.log" 2>&1 & server=$!
}
plug() {
    until_true 'usbip list -r 127.0.0.1 > /dev/null 2>&1'
    usbip attach -r 127.0.0.1 -b 1-1
    until_true '[ -e /dev/video0 ] && [ "$(bound)" = uvcvideo ]'
}
end_server() { kill "${1:--TERM}" $server; wait $server 2>/dev/null; until_true '[ ! -e /dev/video0 ] && [ -z "$(grep -l Webcam /sys/bus/usb/devices/*/product 2>/dev/null)" ]'; }
# Frames $1 of format $2 and size $3: all came, none torn. $4 names the step.
stream() {
    timeout 400 "$userdriver" stream --frames "$1" --format "$2" --size "$3" --stats json > "$work/stream.log" 2>&1
    local status=$?
    whole "$work/stream.log" || status=1
    verdict $status "$4: $1 frames of $2 $3: $(tail -1 "$work/stream.log")"
}
# The kernel has nothing to complain about, since the last time.
quiet() { ! dmesg -c | grep -E 'WARNING|BUG|Oops|Call Trace'; verdict $? "$1: the kernel has nothing to complain about"; }
