// Conversations under a real supervisor, a real proxy and a real driver, which is killed over and
// over: the device gets each byte once.

import EmulatedEcho
import Glibc
import Synchronization
import Testing
import USB
import USBEmulation
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(60))) struct ConversationTests {
    /// What drivers have said of their conversations.
    private final class Words: Sendable {
        private let words = Mutex<[String]>([])
        func take(_ reply: JSONValue) {
            let text = reply.text
            if text.contains("echoFailed") || text.contains("conversationFault") { words.withLock { $0.append(text) } }
        }
        var all: [String] { words.withLock { $0 } }
    }

    private func bench(_ port: UInt16) async throws -> Bench {
        let folder = TemporaryFolder()
        mkdir(folder.path + "/drivers", 0o700)
        try Bench.makeBundle(
            in: folder.path + "/drivers", id: "echo", behaviour: "echo-driver", of: "echo-driver", deviceClass: 0xff,
            extra: "streaming:\n  - {class: 0xff}")
        let url = try AttachmentURL("usbip://127.0.0.1:\(port)/1-1")
        return try await Bench(in: folder) {
            $0.attachments = [url]
            $0.portExecutable = Bench.executable("usbip-proxy")
        }
    }

    /// How often drivers die: 200 times unless `USERDRIVER_CONVERSATION_KILLS` says so.
    private static let kills = getenv("USERDRIVER_CONVERSATION_KILLS").flatMap { Int(String(cString: $0)) } ?? 200

    @Test func `no byte is lost or sent twice however often the driver is killed`() async throws {
        let device = EmulatedEcho(pairs: 2)
        let server = EmulationServer(devices: [("1-1", device)], port: 0)
        defer { server.stop() }
        let bench = try await bench(try server.start())
        let words = Words()
        let listener = try await bench.listener()
        let listening = Task {
            while let (reply, descriptors) = try? await listener.receive() {
                for descriptor in descriptors { close(descriptor) }
                words.take(reply.parameters)
            }
        }
        var random = SystemRandomNumberGenerator()
        var last: Int32 = 0
        var early = 0
        for kill in 0..<Self.kills {
            let pid = try await process(bench, after: last)
            // Two in a row may come before anything got on; then it is to be seen that it does, by
            // this driver: what the device takes may have been handed over by the one before.
            if early < 2, random.next() % 3 == 0 {
                early += 1
            } else {
                early = 0
                while try await !hasProgressed(bench, pid) {
                    try #require(device.figures.allSatisfy { $0.wrongAt == nil } && words.all.isEmpty, "kill \(kill): \(words.all)")
                    try await Task.sleep(for: .microseconds(200))
                }
            }
            // The instant of its death is anywhere.
            try await Task.sleep(for: .microseconds(Int64(random.next() % 8000)))
            Glibc.kill(pid, SIGKILL)
            last = pid
            try #require(device.figures.allSatisfy { $0.wrongAt == nil } && words.all.isEmpty, "kill \(kill): \(words.all)")
        }
        _ = try await process(bench, after: last)
        // It goes on to talk, on both pairs.
        let before = device.figures
        while zip(device.figures, before).contains(where: { $0.questions < $1.questions + 5 }) {
            try #require(device.figures.allSatisfy { $0.wrongAt == nil } && words.all.isEmpty, "\(words.all)")
            try await Task.sleep(for: .milliseconds(1))
        }
        let status = try await bench.status()
        #expect(status.first?.restarts == Self.kills, "each death was of our doing")
        #expect(device.attachments == 1, "the device was never let go")
        print("conversations: \(Self.kills) kills, \(device.figures)")
        await bench.stop()
        listening.cancel()
        _ = await listening.result
    }

    private func hasProgressed(_ bench: Bench, _ pid: Int32) async throws -> Bool {
        let device = try #require(try await bench.status().first)
        return device.pid == pid && (device.activities ?? []).contains { $0.done > 0 }
    }

    /// The driver's process, once it drives and is another than the one before.
    private func process(_ bench: Bench, after last: Int32) async throws -> Int32 {
        while true {
            if let device = try await bench.status().first, device.state == .running, device.pid != last, device.pid != 0 {
                return device.pid
            }
            try await Task.sleep(for: .milliseconds(1))
        }
    }
}
