// Why something that a client asked for did not happen, in a sentence for a person and a code for a program.

import Glibc
public import Wire

/// What goes wrong between a client and the daemon.
public struct ClientError: Error, Sendable, CustomStringConvertible {
    /// Kinds of failure; more may come.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case daemonNotRunning, notPermitted, noSuchDevice, ambiguousDevice, deviceUnavailable, busy, invalidParameter, notSupported
            case deviceError, driverRestarted, limitReached, malformedReply, connectionLost, timedOut, stopped, failed
            case noSuchJob, noSuchObject, altered
        }
        private let value: Value
        private init(_ value: Value) { self.value = value }
        public var description: String { value.rawValue }

        /// Nothing listens at the daemon's socket.
        public static let daemonNotRunning = Code(.daemonNotRunning)
        public static let notPermitted = Code(.notPermitted)
        public static let noSuchDevice = Code(.noSuchDevice)
        /// The selector matches several devices.
        public static let ambiguousDevice = Code(.ambiguousDevice)
        /// The device is known, but not there now or not driven.
        public static let deviceUnavailable = Code(.deviceUnavailable)
        /// It is in use in a way that excludes this one.
        public static let busy = Code(.busy)
        public static let invalidParameter = Code(.invalidParameter)
        public static let notSupported = Code(.notSupported)
        public static let deviceError = Code(.deviceError)
        /// The driver died while it handled a call that can't be repeated blindly.
        public static let driverRestarted = Code(.driverRestarted)
        public static let limitReached = Code(.limitReached)
        /// There is no job of this user with that name.
        public static let noSuchJob = Code(.noSuchJob)
        /// It never existed, or it has been acknowledged already.
        public static let noSuchObject = Code(.noSuchObject)
        /// An object's bytes are not those that its driver committed.
        public static let altered = Code(.altered)
        public static let malformedReply = Code(.malformedReply)
        public static let connectionLost = Code(.connectionLost)
        public static let timedOut = Code(.timedOut)
        public static let stopped = Code(.stopped)
        public static let failed = Code(.failed)
    }

    public let code: Code
    /// A full sentence (or two, with the way out).
    public let message: String
    /// The system's error number, where a system call failed.
    public let systemError: Int32?
    /// The error's full name where daemon or driver said it:
    /// `"org.example.thermometer.OutOfRange"`.
    public let name: String?
    /// All that came with it.
    public let parameters: JSONValue?

    public init(
        _ code: Code, _ message: String, systemError: Int32? = nil, name: String? = nil, parameters: JSONValue? = nil
    ) {
        self.code = code
        self.message = message
        self.systemError = systemError
        self.name = name
        self.parameters = parameters
    }

    public var description: String { message }

    /// Whether the same call may work later by itself: the daemon or the device is on its way.
    public var isTransient: Bool {
        [.daemonNotRunning, .connectionLost, .deviceUnavailable, .driverRestarted, .noSuchDevice].contains(code)
    }

    static func system(_ operation: String, _ number: Int32, code: Code = .failed) -> ClientError {
        ClientError(code, "\(operation) failed: \(describe(number)).", systemError: number)
    }

    /// What helps where daemon and program do not fit together.
    static let versionRemedy =
        "Compare `userdriverd --version` with `userdriver --version`; after an upgrade, restart the daemon (`systemctl restart userdriverd`)."

    static func describe(_ number: Int32) -> String { String(cString: strerror(number)) }

    /// The daemon's error by its Varlink name, with or without the interface before it.
    static func remote(name: String, _ parameters: JSONValue) -> ClientError {
        var message = parameters["message"]?.stringValue
        if let text = message, !text.isEmpty, let remedy = parameters["remedy"]?.stringValue { message = "\(text) \(remedy)" }
        let short = name.split(separator: ".").last.map(String.init) ?? name
        let code: Code? =
            switch short {
            case "NoSuchDevice": .noSuchDevice
            case "AmbiguousDevice": .ambiguousDevice
            case "NotPermitted", "PermissionDenied": .notPermitted
            case "NotSupported", "MethodNotFound", "MethodNotImplemented", "InterfaceNotFound": .notSupported
            case "InvalidParameter": .invalidParameter
            case "Busy": .busy
            case "DeviceError": .deviceError
            case "DeviceUnavailable": .deviceUnavailable
            case "DriverRestarted": .driverRestarted
            case "LimitReached": .limitReached
            case "NoSuchJob": .noSuchJob
            case "NoSuchObject": .noSuchObject
            default: nil
            }
        if let message, !message.isEmpty { return ClientError(code ?? .failed, message, name: name, parameters: parameters) }
        if ["MethodNotFound", "MethodNotImplemented", "InterfaceNotFound"].contains(short) {
            return ClientError(
                .notSupported, "The daemon does not know this call: its version differs from this program's. \(versionRemedy)",
                name: name, parameters: parameters)
        }
        return ClientError(code ?? .failed, "The call was refused: \(name).", name: name, parameters: parameters)
    }
}
