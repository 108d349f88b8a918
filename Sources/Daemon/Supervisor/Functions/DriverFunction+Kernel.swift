// A device that the kernel's own driver has: left to it by policy, taken from it, given back to it.

import USB
import Wire

extension DriverFunction {
    static let leftToKernel = "The device is left to the kernel's own driver; take it with `userdriver take`."

    /// The policy takes it now: a device that was left to the kernel is opened again.
    func take() {
        guard isAttached, state == .kernel else { return }
        forgetDeaths()
        startWhenFree()
    }

    /// Ends the driver and gives the device back to the kernel's. `then` is told what went wrong, if anything.
    func release(then: @escaping @SupervisorActor (String?) -> Void) {
        guard isAttached else { return then(nil) }
        leaveToKernel("Released. " + Self.leftToKernel)
        onEnd.append { [weak self, source, information, function] in
            self?.releaseDevice()
            let leaving = self?.succession.leaving
            Task { @SupervisorActor in
                await leaving?.value
                do throws(DeviceOpenFailure) {
                    try await source.giveBack(information, function: function)
                    then(nil)
                } catch .gone {
                    then(nil)
                } catch {
                    then("\(information.path) could not be given back to the kernel's driver: \(error)")
                }
            }
        }
        noteEnd()
    }

    /// Ends the driver, for good as long as nobody asks for the device.
    func leaveToKernel(_ why: String) {
        attempt += 1
        restartTimer.lift()
        incarnation?.stop(patience: min(timing.stopPatience, .milliseconds(500)))
        enter(.kernel(why: why))
        announce("kernel", "\(name): \(why)")
        deviceHasFailed(why)
    }
}
