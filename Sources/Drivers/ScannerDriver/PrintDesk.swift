// Requests of print programs, each on a channel that scanning leaves free.

import IPPUSB
import ScannerInterface
import Synchronization
import UserDriver
import Wire

/// Which request goes over which channel, and when one is over that nobody asks after.
actor PrintDesk {
    /// A request that nothing is asked of is ended then.
    private static let patience = Duration.seconds(60)
    private static let mostRequests = 16

    private let scanner: ScannerPort
    /// Those that may be used, the best one first.
    private let pipes: [Pipe]
    /// Called while a request is worked on: a printer may be without paper for hours.
    private let gotOn: @Sendable () -> Void
    private var requests: [String: PrintRequest] = [:]

    /// - Parameter own: a channel for what is printed alone, where the device has one.
    init(_ scanner: ScannerPort, own: Pipe?, gotOn: @escaping @Sendable () -> Void) {
        self.scanner = scanner
        self.gotOn = gotOn
        pipes = (own.map { [$0] } ?? []) + (scanner.isNarrow ? [scanner.pages] : [scanner.control, scanner.pages])
    }

    /// Goes on with what a process before this one had begun. To be called before anybody else asks for
    /// a channel.
    func adopt() async {
        for pipe in pipes {
            guard let request = await PrintRequest(inheritedOn: pipe) else { continue }
            requests[request.name] = request
            mark(pipe)
            watch(request)
        }
    }

    func call(_ method: PrinterInterface.Method, _ call: ServiceCall) async throws -> JSONValue {
        switch method {
        case .send:
            let piece = try call.decode(PrintPiece.self)
            let request = try request(piece)
            let body = try Self.body(of: call)
            try await worked(on: request) { try await request.send(piece, body) }
            return .object([:])
        case .receive:
            let request = try known(call)
            let answer = try await worked(on: request) { try await request.receive() }
            return try await Self.told(answer, call)
        case .end:
            if let request = try? known(call) { await end(request) }
            return .object([:])
        }
    }

    // MARK: Requests

    private func request(_ piece: PrintPiece) throws(CallError) -> PrintRequest {
        if let request = requests[piece.request] { return request }
        guard PrintPiece.isName(piece.request) else {
            throw CallError("InvalidParameter", "A request's name must have 1 to 64 letters and digits.")
        }
        guard piece.offset == 0 else { throw CallError("InvalidParameter", "The request is unknown, so its body must begin at 0.") }
        guard requests.count < Self.mostRequests else { throw CallError("Busy", "\(Self.mostRequests) requests are waiting already.") }
        // The way of pages is for what is said at once: a document would keep a scan waiting.
        let free = pipes.filter { piece.last || scanner.isNarrow || $0 !== scanner.pages }
        let pipe = free.first { !$0.turns.isTaken } ?? free[0]
        let request = PrintRequest(piece.request, on: pipe)
        requests[piece.request] = request
        mark(pipe)
        return request
    }

    private func known(_ call: ServiceCall) throws(CallError) -> PrintRequest {
        guard let name = call.parameters["request"]?.stringValue else { throw CallError("InvalidParameter", "A request must be named.") }
        guard let request = requests[name] else { throw CallError("InvalidParameter", "There is no such request.") }
        return request
    }

    private func end(_ request: PrintRequest) async {
        await request.end()
        requests[request.name] = nil
        mark(request.pipe)
    }

    /// Questions of a scan's leave the channel alone that is being printed on.
    private func mark(_ pipe: Pipe) {
        guard pipe === scanner.control, !scanner.isNarrow else { return }
        scanner.isPrinting.store(requests.values.contains { $0.pipe === pipe }, ordering: .releasing)
    }

    // MARK: Work and time

    /// Whoever asked may go away, and the deadline may pass: what was begun is done.
    private func worked<R: Sendable>(on request: PrintRequest, _ body: @escaping @Sendable () async throws -> R) async throws -> R {
        defer { watch(request) }
        let gotOn = gotOn
        // Two deaths in a long wait would be two without progress.
        let pulse = Task {
            while true {
                try await Task.sleep(for: .milliseconds(400))
                gotOn()
            }
        }
        defer { pulse.cancel() }
        return try await Task { try await body() }.value
    }

    /// Ends it where nothing is asked of it from now on.
    private func watch(_ request: PrintRequest) {
        Task {
            let calls = await request.calls
            try await Task.sleep(for: Self.patience)
            guard await request.calls == calls, await !request.isBusy, requests[request.name] === request else { return }
            await end(request)
        }
    }

    // MARK: Bytes

    private static func body(of call: ServiceCall) throws(CallError) -> [UInt8] {
        var body: [UInt8] = []
        for memory in call.memory {
            guard body.count + memory.byteCount <= PrinterInterface.largestPiece else {
                throw CallError("InvalidParameter", "A piece has at most \(PrinterInterface.largestPiece) bytes.")
            }
            memory.withBytes { body += $0 }
        }
        return body
    }

    private static func told(_ answer: PrintRequest.Answer, _ call: ServiceCall) async throws -> JSONValue {
        if !answer.body.isEmpty {
            try await call.makeMemory(byteCount: answer.body.count).withBytes { $0.copyBytes(from: answer.body) }
        }
        return try JSONValue(
            encoding: PrintAnswerHead(
                status: answer.head.status, type: answer.head.mediaType ?? "application/octet-stream", size: answer.body.count))
    }
}
