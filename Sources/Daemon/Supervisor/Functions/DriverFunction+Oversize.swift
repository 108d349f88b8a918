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
            incarnation.kill("what the driver before it left is too large to be handed on, and is dropped")
        } else if !start.streams.isEmpty {
            endStreams("What was asked of the device's streams is too large to be handed on to a driver.")
            incarnation.kill("what its streams were opened with is too large to be handed on; they end")
        } else {
            failForGood("Its description and its driver's settings are too large for a driver to be started with.")
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
