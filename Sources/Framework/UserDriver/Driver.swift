// What a driver is: a type that takes up a device and answers for it until it is told to stop.

public import Wire

/// A function driver. The framework makes the process around it: channel, heartbeat, last words, sandbox, restart.
///
/// A driver holds one device and nothing else. It may die at any moment: what its successor needs to resume goes into
/// `SupervisorLink.record`, and what clients see lives in frame rings that the supervisor keeps.
public protocol Driver: Actor {
    /// The executable's and the process's name: `"webcam-driver"`.
    static var name: String { get }

    /// In a takeover it claims nothing and asks the device for nothing before its first
    /// `SupervisorLink.openTransfers` is answered. Then the process before it, where that one
    /// streams still, goes on until that moment, and not just until this one is given the device.
    /// `false` unless said.
    static var supportsHandover: Bool { get }

    /// Takes up the device and returns the ready driver, so that nothing half-initialised exists. What it throws ends the process, and is said
    /// to whoever asks for the device's status. Streams in `context.streams` are wanted by somebody: take them up again before returning.
    static func start(_ context: DriverContext) async throws -> Self

    /// What the device turned out to be.
    nonisolated var facts: DriverFacts { get }

    /// Somebody wants to watch a stream: start it, unless it is on in a form that suits `request`; throw `CallError("Busy", …)` where it doesn't.
    func openStream(name: String, request: JSONValue) async throws
    /// Nobody watches any more.
    func closeStream(name: String) async

    /// A method of one of the interfaces that the manifest provides. Returns the last reply, an
    /// object; throws `CallError` for the caller. Calls run beside each other. The task is
    /// cancelled when nobody waits for the answer any more.
    func call(_ call: ServiceCall) async throws -> JSONValue

    /// For the heartbeat. Called often: no I/O.
    nonisolated func statistics() -> DriverStatistics

    /// Stops streams and gives the device back.
    func stop() async
}

extension Driver {
    /// No: the process before this one ends before this one is given the device.
    public static var supportsHandover: Bool { false }
    /// Throws `NotSupported`: there are no streams.
    public func openStream(name: String, request: JSONValue) async throws {
        throw CallError("NotSupported", "This device has no stream named \(name).")
    }
    /// Does nothing.
    public func closeStream(name: String) async {}
    /// Throws `NotSupported`: there are no methods.
    public func call(_ call: ServiceCall) async throws -> JSONValue {
        throw CallError("NotSupported", "This device's driver does not know the method \(call.method).")
    }
    /// Nothing to show.
    public nonisolated func statistics() -> DriverStatistics { DriverStatistics() }
}
