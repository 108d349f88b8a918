// Why a call, a driver or a device failed: a value that goes unchanged from driver to client.

/// Why a call failed, or a driver gave up, from driver to client. Programs go by `code` and `layer`; the sentences are for people.
public struct CallError: Error, Codable, Hashable, Sendable, CustomStringConvertible {
    /// A Varlink error name, without the interface: `"InvalidParameter"`, `"NotSupported"`,
    /// `"Busy"`, `"DeviceError"`, `"DriverRestarted"`, `"NoSuchDevice"`, `"NotPermitted"`, or one
    /// of the driver's own interface. Programs match this.
    public var code: String
    /// A full sentence for a person.
    public var message: String
    /// The layer at fault, as `userdriver stack` names it: `"device"`, `"bandwidth"`; `nil` where
    /// it isn't known.
    public var layer: String?
    /// What helps, a full sentence.
    public var remedy: String?
    /// An object of further parameters, as the interface's definition of the error has them:
    /// `{"minimum": -40}`.
    public var detail: JSONValue?

    public init(_ code: String, _ message: String, layer: String? = nil, remedy: String? = nil, detail: JSONValue? = nil) {
        self.code = code
        self.message = message
        self.layer = layer
        self.remedy = remedy
        self.detail = detail
    }

    public var description: String { message }

    /// The same, cut to what is kept of a driver's last word.
    public var bounded: CallError {
        CallError(
            code.clipped(toBytes: 64), message.clipped(toBytes: 2000), layer: layer?.clipped(toBytes: 64),
            remedy: remedy?.clipped(toBytes: 500))
    }

    /// The parameters of a Varlink error.
    public var parameters: JSONValue {
        var members: [String: JSONValue] = [:]
        if case .object(let detail) = detail { members = detail }
        members["message"] = .string(message)
        if let layer { members["layer"] = .string(layer) }
        if let remedy { members["remedy"] = .string(remedy) }
        return .object(members)
    }
}
