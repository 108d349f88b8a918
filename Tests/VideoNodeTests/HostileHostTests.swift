import CLinux
import FakeDaemon
import Glibc
import Testing
import USB
import USBEmulation
import UserDriverClient

@testable import VideoNode

/// The kernel is not hostile, but whoever is at the other end of a socket may be anybody.
@Suite(.timeLimit(.minutes(2))) struct HostileHostTests {
    private func node() -> VideoNode {
        VideoNode(FakeCamera.facts, of: UserDriverClient(runtimeDirectory: RuntimeDirectory("/nonexistent")).camera("x"))
    }

    @Test func everyRequestHasAnAnswer() throws {
        let node = node()
        let signal = Deaf()
        node.attached(now: 0, signal: signal)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let setup = ControlSetup(
                requestType: [0x21, 0xa1, 0x22, 0xa2, 0xff].randomElement(using: &random) ?? 0,
                request: [0x01, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x00].randomElement(using: &random) ?? 0,
                value: UInt16.random(in: 0...0x1400, using: &random) & [0xff00, 0xffff].randomElement(using: &random)!,
                index: UInt16.random(in: 0...0x0402, using: &random), length: UInt16.random(in: 0...64, using: &random))
            // A stream that would be opened is another test's business.
            if setup.index & 0xff == 1, setup.value >> 8 == 2, setup.request == 1 { continue }
            let data = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            if case .data(let bytes) = node.control(setup, data: data, now: clinux_monotonic_ns()) { #expect(bytes.count <= 64) }
        }
        node.detached()
    }

    @Test func bytesThatAreNoMessagesEndTheConnection() async throws {
        for bytes in [
            [UInt8](repeating: 0xff, count: 48), [0, 0, 0, 3] + [UInt8](repeating: 0, count: 44), [UInt8](repeating: 0, count: 48),
        ] {
            var pair: [Int32] = [-1, -1]
            try #require(clinux_stream_pair(&pair) == 0)
            let connection = try EmulatedConnection(device: node(), socket: pair[0], name: "node")
            #expect(write(pair[1], bytes, bytes.count) == bytes.count)
            var rest = [UInt8](repeating: 0, count: 64)
            #expect(read(pair[1], &rest, rest.count) <= 0)
            await until { connection.hasEnded }
            close(pair[1])
        }
    }

    @Test func aHostThatReadsNothingCostsNoMemoryWithoutEnd() async throws {
        let bench = try NodeBench(slots: 4)
        try await bench.configure()
        let stream = try await bench.commit("yuy2", 160, 120)
        let reader = try HostReader(bench, stream, count: 64)
        for seed in UInt8(0)...255 { bench.stream.publish([UInt8](repeating: seed, count: 160 * 120 * 2)) }
        #expect(try reader.frame() != nil)
        bench.connection?.end()
        bench.connection?.join()
        #expect(!bench.node.isStreaming)
    }

    private final class Deaf: EmulationSignal {
        func ready(endpoint: EndpointAddress) {}
        func flush(endpoint: EndpointAddress) {}
        func unplug() {}
        func plug() {}
    }
}
