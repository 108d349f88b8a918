// Plugs the camera in again after a while.

import CLinux
import Threads
import USBEmulation

enum Replug {
    /// From a thread of its own, which ends with it.
    static func plug(_ signal: any EmulationSignal, after nanoseconds: UInt64) {
        let moment = clinux_monotonic_ns() + nanoseconds
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: "webcam replug") {
                let never = Monitored(())
                let _: Void? = never.wait(until: moment) { _ in nil }
                signal.plug()
            }
        } catch {
            // Better too early than never.
            signal.plug()
        }
    }
}
