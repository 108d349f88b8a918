// Plugs the camera in again after a while.

import CLinux
import USBEmulation

enum Replug {
    /// From a thread of its own, which ends with it.
    static func plug(_ signal: any EmulationSignal, after nanoseconds: UInt64) {
        let moment = clinux_monotonic_ns() + nanoseconds
        let thread = WebcamThread(name: "webcam replug") {
            let never = Monitor(())
            let _: Void? = never.wait(until: moment) { _ in nil }
            signal.plug()
        }
        if !thread.isRunning { signal.plug() }
    }
}
