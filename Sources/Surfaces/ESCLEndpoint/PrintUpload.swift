// What a program prints, on its way from its connection to the device: a piece at a time, so that
// the program waits for the printer and nothing is kept.

import HTTPServer
import ScannerClient
import UserDriverClient

/// The body of one request. Its pieces come one after the other.
actor PrintUpload: HTTPUpload {
    /// Bytes that go to the driver at once.
    private static let piece = 256 << 10
    /// How long a driver or daemon that is on its way back is waited for, with each piece.
    private static let patience = Duration.seconds(60)

    private let printer: Printer
    private let path: String
    private let name = DeviceJob.newToken()
    /// Whether it is to be passed on at all.
    private let admit: @Sendable () async -> HTTPAnswer?
    private var isAdmitted = false
    private var isWelcome = false
    private var waiting: [UInt8] = []
    private var offset: UInt64 = 0
    private var hasBegun = false
    /// What it is answered with, whatever else comes: it is read past.
    private var refusal: HTTPAnswer?

    init(_ printer: Printer, path: String, admit: @escaping @Sendable () async -> HTTPAnswer?) {
        self.printer = printer
        self.path = path
        self.admit = admit
    }

    func take(_ bytes: [UInt8]) async -> Bool {
        await admitOnce()
        guard refusal == nil else { return isWelcome }
        waiting += bytes
        if waiting.count >= Self.piece { await pass(isLast: false) }
        return true
    }

    func answer() async -> HTTPAnswer {
        if refusal == nil { await pass(isLast: true) }
        if let refusal {
            await end()
            return refusal
        }
        let answer: Printer.Answer
        do throws(ClientError) { answer = try await receive() } catch {
            await end()
            return ScannerEndpoint.failure(error)
        }
        await end()
        return HTTPAnswer(UInt32(clamping: answer.status), type: answer.type, answer.body)
    }

    nonisolated func abandon() { Task { await end() } }

    // MARK: Steps

    private func admitOnce() async {
        guard !isAdmitted else { return }
        isAdmitted = true
        refusal = await admit()
        isWelcome = refusal == nil
    }

    private func pass(isLast: Bool) async {
        await admitOnce()
        guard refusal == nil else { return }
        let bytes = waiting
        waiting = []
        hasBegun = true
        do throws(ClientError) {
            let piece = PrintPiece(request: name, path: path, offset: offset, last: isLast)
            try await patiently { [printer] () throws(ClientError) in try await printer.send(piece, bytes) }
            offset += UInt64(bytes.count)
        } catch {
            refusal = ScannerEndpoint.failure(error)
        }
    }

    private func receive() async throws(ClientError) -> Printer.Answer {
        try await patiently { [printer, name] () throws(ClientError) in try await printer.receive(name) }
    }

    /// Tries again what may be: after a death, and where the printer takes nothing for longer than a
    /// call waits.
    private func patiently<R: Sendable>(_ body: @Sendable () async throws(ClientError) -> R) async throws(ClientError) -> R {
        let end = ContinuousClock.now + Self.patience
        while true {
            do throws(ClientError) {
                return try await body()
            } catch {
                guard error.code == .timedOut || error.isTransient && ContinuousClock.now < end, !Task.isCancelled else { throw error }
                await printer.client.waitBeforeRetry()
            }
        }
    }

    private func end() async {
        guard hasBegun else { return }
        hasBegun = false
        // Also of a request that was cancelled. Else the driver ends it by itself, after a minute.
        await Task { [printer, name] in try? await printer.end(name) }.value
    }
}
