// A driver's start that does not fit into a message: how a device gets out of it.

import Wire

extension DriverFunction {
    /// The message that starts a driver is too large, though each part of it was bounded when it came. Each time the most dispensable goes, so that the
    /// device gets out of it by itself.
    func startDidNotFit(_ start: DriverStart, _ incarnation: DriverIncarnation) {
        dependencies.successionStore?.forget(incarnation.processID)
        step = .openAnew
        if start.record != nil {
            record.drop()
            incarnation.kill("the previous driver's record is too large to pass on, and is dropped")
        } else if !start.streams.isEmpty {
            endStreams("The requests for the device's streams are too large to pass on to a driver.")
            incarnation.kill("the requests for its streams are too large to pass on, so they end")
        } else {
            failForGood("Its description and its driver's settings are too large to start a driver with.")
        }
    }

    /// Nothing that is tried again by itself helps.
    func failForGood(_ why: String) {
        incarnation?.stop(patience: .zero)
        releaseDevice()
        enter(.failed(why: why))
        announce("failed", "\(name): \(why)")
        deviceHasFailed(why)
    }
}
