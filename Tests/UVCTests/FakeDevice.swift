// A video device in memory: answers control requests from a table, and remembers what it was asked.
import Synchronization
import USB
import UVC

/// A device that answers each request as a closure says. Nothing streams.
final class FakeDevice: USBDeviceHandle {
    /// What a request gets: bytes for an IN request, an error, or nothing for an OUT request that is taken.
    typealias Responder = @Sendable (ControlSetup, [UInt8]) throws(USBError) -> [UInt8]

    struct Request: Equatable, CustomStringConvertible {
        var setup: ControlSetup
        var data: [UInt8]
        var description: String { "\(setup) \(data)" }
    }

    let information: USBDeviceInformation
    private let respond: Responder
    private let select: @Sendable (UInt8) throws(USBError) -> Void
    private let log = Mutex<[Request]>([])
    private let settings = Mutex<[UInt8]>([])

    /// - Parameter settings: refuses alternate settings by throwing.
    init(
        speed: USBSpeed = .high, settings: @escaping @Sendable (UInt8) throws(USBError) -> Void = { _ in }, respond: @escaping Responder
    ) {
        select = settings
        information = USBDeviceInformation(path: "fake", speed: speed, descriptors: [])
        self.respond = respond
    }

    var requests: [Request] { log.withLock { $0 } }
    /// The data of every SET_CUR of a selector.
    func sent(_ selector: UInt8) -> [[UInt8]] {
        requests.filter { $0.setup.request == 0x01 && $0.setup.value == UInt16(selector) << 8 }.map(\.data)
    }
    var alternateSettings: [UInt8] { settings.withLock { $0 } }

    func control(_ setup: ControlSetup, sending data: [UInt8], timeout: Duration) async throws(USBError) -> [UInt8] {
        log.withLock { $0.append(Request(setup: setup, data: data)) }
        return Array(try respond(setup, data).prefix(Int(setup.length)))
    }

    /// As the closure answers, unrecorded.
    func answer(_ setup: ControlSetup, _ data: [UInt8]) throws(USBError) -> [UInt8] { try respond(setup, data) }

    func setAlternateSetting(interface: UInt8, to alternateSetting: UInt8) async throws(USBError) {
        settings.withLock { $0.append(alternateSetting) }
        try select(alternateSetting)
    }
    func claim(interface: UInt8) async throws(USBError) {}
    func release(interface: UInt8) async throws(USBError) {}
    func clearHalt(endpoint: EndpointAddress) async throws(USBError) {}
    func reset() async throws(USBError) {}
    func transferQueue(endpoint: EndpointAddress, type: TransferType) throws(USBError) -> any TransferQueue {
        throw USBError(.notSupported, operation: "transferQueue")
    }
    func close() {}
}

extension USBError {
    static let stalled = USBError(.stall, operation: "control")
}

/// A camera's streaming interface with MJPEG, YUY2 and H.264, six isochronous settings or a bulk endpoint.
func testInterface(bulk: Bool = false) -> StreamingInterface {
    let endpoint = EndpointAddress(rawValue: 0x81)
    let sizes = [(1, 640, 480), (2, 1280, 720), (3, 1920, 1080)]
    func frames(_ intervals: [Int: [UInt32]], bytes: UInt32 = 0) -> [VideoFrame] {
        sizes.map { index, width, height in
            let list = intervals[width] ?? [333_333]
            return VideoFrame(
                index: UInt8(index), width: width, height: height, maxFrameBytes: UInt32(width * height * 2), defaultInterval: list[0],
                intervals: .discrete(list))
        }
    }
    let settings: [StreamingAlternateSetting] =
        bulk
        ? [StreamingAlternateSetting(number: 0, endpoint: endpoint, type: .bulk, bytesPerInterval: 512)]
        : [192, 384, 512, 1024, 2048, 3072].enumerated().map {
            StreamingAlternateSetting(number: UInt8($0.offset + 1), endpoint: endpoint, type: .isochronous, bytesPerInterval: $0.element)
        }
    guard let yuy2 = PixelFormat(name: "yuy2") else { preconditionFailure("yuy2 is in the table") }
    return StreamingInterface(
        number: 1, endpoint: endpoint, alternateSettings: settings,
        formats: [
            VideoFormat(
                index: 1, kind: .uncompressed(yuy2.guid, bitsPerPixel: 16),
                frames: frames([640: [333_333, 666_666], 1280: [1_000_000], 1920: [2_000_000]])),
            VideoFormat(index: 2, kind: .mjpeg, frames: frames([640: [166_666, 333_333], 1280: [333_333, 666_666], 1920: [333_333]])),
            VideoFormat(index: 3, kind: .h264(simulcast: false), frames: frames([1280: [166_666]])),
        ])
}
