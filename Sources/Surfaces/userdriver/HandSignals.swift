// A person's hand on an emulated camera, by signals.

import CLinux
import EmulatedWebcam
import Glibc
import Threads

/// SIGUSR1 presses the button, SIGUSR2 moves the shutter.
enum HandSignals {
    /// Call it before other threads are started: they inherit the mask. Without a button and a shutter the signals are as they were.
    static func block() {
        var signals = set
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Passes them on from now on, on a thread of its own.
    static func pass(to cameras: [EmulatedWebcam]) throws(CommandFailure) {
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: "hands") {
                var signals = set
                var number: Int32 = 0
                while sigwait(&signals, &number) == 0 {
                    for camera in cameras { if number == SIGUSR1 { camera.pressButton() } else { camera.moveShutter() } }
                }
            }
        } catch {
            throw CommandFailure("Signals can't be received: \(error)")
        }
    }

    private static var set: sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGUSR1)
        sigaddset(&signals, SIGUSR2)
        return signals
    }
}
