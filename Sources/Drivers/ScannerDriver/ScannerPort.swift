// The scanner behind its channels: its documents, and the pipes that pages and questions take.

import ESCL
import IPPUSB
import Synchronization
import USB
import UserDriver
import Wire

/// A device that speaks eSCL. Where it has two channels, questions are asked on the second while a
/// page comes on the first.
actor ScannerPort {
    private static let patience = Duration.seconds(30)
    private static let largestDocument = 256 << 10

    nonisolated let pages: Pipe
    nonisolated let control: Pipe
    /// What is printed takes the way of questions, for minutes maybe: they take that of pages meanwhile.
    nonisolated let isPrinting = Atomic(false)
    /// Questions wait while a page comes.
    nonisolated var isNarrow: Bool { pages === control }
    private let configuration: [String: JSONValue]
    private let names: [String?]
    private var known: ESCLCapabilities?

    /// - Parameter names: what the device calls itself in its USB strings.
    init(pages: Pipe, control: Pipe, _ configuration: [String: JSONValue], names: [String?]) {
        self.pages = pages
        self.control = control
        self.configuration = configuration
        self.names = names
    }

    /// By all names that are known: eSCL's is once the capabilities are.
    private var quirks: ScannerQuirks { ScannerQuirks(configuration, models: names + [known?.model]) }

    /// Whether the device has the quirk. It is asked what it is where that depends on it, and has not
    /// that quirk if it does not say.
    func has(_ quirk: ScannerQuirks) async -> Bool {
        if known == nil, quirk.isListed(in: configuration), !quirks.contains(quirk) {
            do { _ = try await capabilities() } catch { return false }
        }
        return quirks.contains(quirk)
    }

    // MARK: Documents

    func capabilities() async throws -> ESCLCapabilities {
        if let known { return known }
        var capabilities = try ESCLCapabilities(parsing: try await document(ESCLPath.capabilities()))
        known = capabilities
        if quirks.contains(.upTo300) {
            for source in capabilities.sources.keys { capabilities.sources[source]?.resolutions.limit(to: 300) }
            known = capabilities
        }
        return capabilities
    }

    nonisolated func status() async throws -> ESCLStatus { try ESCLStatus(parsing: try await document(ESCLPath.status())) }

    /// Throws `CallError` for an answer that is none, too.
    private nonisolated func document(_ path: String) async throws -> [UInt8] {
        // Whoever asked may go away meanwhile; the answer is read all the same.
        let answer = try await Task { try await self.answer(to: HTTPRequest(.get, path), .document) }.value
        guard answer.status != 404 else { throw CallError("NotSupported", "The device does not scan: it has no \(path).", layer: "device") }
        guard answer.status == 200 else {
            throw CallError("DeviceError", "The device answers \(path) with HTTP status \(answer.status).", layer: "device")
        }
        guard let decoded = ContentDecoding.decoded(answer.body, most: Self.largestDocument) else {
            throw CallError("DeviceError", "The device's answer to \(path) is compressed and can't be unpacked.", layer: "device")
        }
        return decoded
    }

    /// Ends a job from beside.
    nonisolated func endJob(_ path: String) async throws {
        _ = try await Task { try await self.answer(to: HTTPRequest(.delete, path), .endJob) }.value
    }

    private nonisolated func answer(to request: HTTPRequest, _ kind: RequestMark.Kind) async throws -> (status: Int, body: [UInt8]) {
        let pipe = isPrinting.load(ordering: .acquiring) ? pages : control
        await pipe.turns.take()
        defer { pipe.turns.giveBack() }
        do {
            try await pipe.ask(request, RequestMark(serial: await pipe.nextSerial, kind: kind))
            let answer = try await Self.small(pipe)
            await pipe.finish()
            return (answer.head.status, answer.body)
        } catch {
            await pipe.giveUp()
            throw error
        }
    }

    /// An answer that is no page: all of it. It is not yet dealt with.
    nonisolated static func small(
        _ pipe: Pipe, within limit: Duration = patience, most: Int = largestDocument
    ) async throws -> (head: HTTPHead, body: [UInt8]) {
        var head: HTTPHead?
        var body: [UInt8] = []
        while true {
            switch try await pipe.next(within: limit) {
            case .head(let found): head = found
            case .body(let bytes):
                guard body.count + bytes.count <= most else {
                    throw PipeFailure(code: .malformed, description: "The device's answer has more than \(most) bytes.")
                }
                body += bytes
            case .end:
                guard let head else { throw PipeFailure(code: .malformed, description: "The device's answer has no header.") }
                return (head, body)
            }
        }
    }
}
