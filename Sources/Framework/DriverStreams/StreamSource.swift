// What a class of devices knows of a stream: how it is agreed on, started and stopped, and what its
// frames are made of.

public import USB
public import Wire

/// A stream of a device, as its driver sees it. `StreamSession` asks it and does the rest. Its
/// interfaces are claimed, and nothing streams, when `agree` and `start` are called.
public protocol StreamSource: Sendable {
    associatedtype Request: StreamRequesting
    associatedtype Assembler: FrameAssembler
    /// What `start` and `stop` need to know of an agreement.
    associatedtype Setting: Sendable

    /// Agrees with the device on what it will send. Throws `CallError` for a request that the
    /// device can't meet, and what its transfers throw.
    func agree(on request: Request) async throws -> StreamAgreement<Self>
    /// The same from a predecessor's `StreamAgreement.record`: the device streams, and is asked
    /// nothing. `nil` if the bytes make no sense.
    func agreement(from record: [UInt8]) -> StreamAgreement<Self>?
    /// Has the device begin.
    func start(_ agreement: StreamAgreement<Self>) async throws(USBError)
    /// Has it stop.
    func stop(_ agreement: StreamAgreement<Self>) async throws(USBError)
    /// What to ask for where a stream could not be begun, for want of bandwidth perhaps. Nothing
    /// streams, as before `start`. Throws where there is nothing, the refusal's error unless
    /// something says more.
    func alternative(
        to agreement: StreamAgreement<Self>, meeting request: Request, after refusal: StreamRefusal
    ) async throws -> Request
    /// Asks the device something that it answers at once, and that harms no stream where one is on.
    /// Throws `timedOut` for a device that answers nothing any more. A refusal is an answer.
    func confirmAnswering(whileStreaming: Bool) async throws(USBError)
}

extension StreamSource {
    public func alternative(
        to agreement: StreamAgreement<Self>, meeting request: Request, after refusal: StreamRefusal
    ) async throws -> Request { throw refusal.error }
}

/// Why a stream could not be started.
public struct StreamRefusal: Sendable {
    public var error: USBError
    /// Whether transfers of this shape are taken, of a device that has been told to stream them: a
    /// few are put in flight and taken back. Where `start` was refused already nothing is tried, and
    /// the answer is yes; but Linux's EHCI driver, for one, reserves bandwidth when transfers are
    /// submitted, and takes every alternate setting.
    public var carries: @Sendable (StreamShape) async -> Bool

    init(_ error: USBError, carries: @escaping @Sendable (StreamShape) async -> Bool = { _ in true }) {
        self.error = error
        self.carries = carries
    }
}

/// What a client may ask of a stream, and what the stream turned out to be: the same type, with
/// less or more of it filled in.
public protocol StreamRequesting: Codable, Hashable, Sendable {
    /// Throws `CallError("InvalidParameter")` for what can't be read.
    init(_ value: JSONValue) throws(CallError)
    /// Whether a stream of that kind is what was asked for.
    func allows(_ stream: Self) -> Bool
    /// `"mjpeg 1280×720 30 fps"`
    var text: String { get }
}

/// What a device has agreed to send.
public struct StreamAgreement<Source: StreamSource>: Sendable {
    /// What it turned out to be: clients are told, and a successor asks for the same.
    public var request: Source.Request
    public var endpoint: EndpointAddress
    public var shape: StreamShape
    /// The maximum bytes of a frame.
    public var frameCapacity: Int
    /// Nanoseconds from frame to frame.
    public var frameInterval: UInt64
    public var assembler: Source.Assembler
    public var setting: Source.Setting
    /// By which a successor recognises it without asking the device: at most 128 bytes.
    public var record: [UInt8]
    /// What was odd on the way, in sentences for the log.
    public var anomalies: [String]

    public init(
        request: Source.Request, endpoint: EndpointAddress, shape: StreamShape, frameCapacity: Int, frameInterval: UInt64,
        assembler: Source.Assembler, setting: Source.Setting, record: [UInt8], anomalies: [String] = []
    ) {
        self.request = request
        self.endpoint = endpoint
        self.shape = shape
        self.frameCapacity = frameCapacity
        self.frameInterval = frameInterval
        self.assembler = assembler
        self.setting = setting
        self.record = record
        self.anomalies = anomalies
    }
}
