import CLinux
import FakeDaemon
import FrameRing
import Glibc
import Spawn
import Testing
import USB
import UVC
import UserDriverClient

@testable import VideoNode

/// What the server costs at 30 frames a second, of one core; for a quiet machine and release executables:
///
///     USERDRIVER_NODE_COST=20 USERDRIVER_BIN=$PWD/.build/release … --filter CostTests
///
/// It says figures and judges nothing: who else has the machine is not its business.
@Suite(.enabled(if: getenv("USERDRIVER_NODE_COST") != nil), .serialized) struct CostTests {
    @Test(arguments: [
        ("mjpeg", 640, 480, 60_000), ("mjpeg", 1280, 720, 150_000), ("yuy2", 640, 480, 614_400), ("yuy2", 1280, 720, 1_843_200),
    ])
    func serving(format: String, width: Int, height: Int, count: Int) async throws {
        let seconds = Int(String(cString: getenv("USERDRIVER_NODE_COST"))) ?? 20
        let program = getenv("USERDRIVER_BIN").map { String(cString: $0) + "/userdriver-video" }
        let formats = [CameraFormat(format: format, width: width, height: height, fps: [30])]
        var behaviour = NodeBench.Behaviour()
        behaviour.formats = formats
        var facts = FakeCamera.facts
        facts.formats = NodeFormats(formats)
        let isSuper = facts.speed == .super
        var server: ServerProcess?
        let bench = try NodeBench(behaviour, facts: facts, capacity: 2 << 20) { daemon in
            let started = try ServerProcess(daemon, program: program)
            server = started
            return try started.attach(isSuper: isSuper)
        }
        try await bench.configure()
        let reader = try HostReader(bench, try await bench.commit(format, width, height), transferSize: isSuper ? 32768 : 16384)
        let process = try #require(server).process.processID
        let frame = pattern(count, 1)
        let isDone = ReaderAlarm()
        let writer = Task.detached {
            let clock = ContinuousClock()
            var next = clock.now
            while isDone.count == 0 {
                bench.stream.publish(frame)
                next += .nanoseconds(33_333_333)
                try? await clock.sleep(until: next)
            }
        }
        for _ in 0..<15 { _ = try reader.frame() }
        let (before, began) = (Self.ticks(of: process), clinux_monotonic_ns())
        var frames = 0
        while clinux_monotonic_ns() - began < UInt64(seconds) * 1_000_000_000 {
            let got = try #require(try reader.frame())
            #expect(got.bytes.count == count)
            frames += 1
        }
        let elapsed = Double(clinux_monotonic_ns() - began) / 1e9
        let share = Double(Self.ticks(of: process) - before) / Double(sysconf(Int32(_SC_CLK_TCK))) / elapsed * 100
        isDone.ring()
        await writer.value
        print(
            "\(format) \(width)×\(height): \((share * 100).rounded() / 100) % of a core at \((Double(frames) / elapsed * 10).rounded() / 10) fps"
        )
    }

    /// utime and stime of `/proc/PID/stat`.
    private static func ticks(of process: Int32) -> Int {
        let fields = (SmallFile.read("/proc/\(process)/stat", limit: 4096) ?? "").split(separator: " ")
        return fields.count > 14 ? (Int(fields[13]) ?? 0) + (Int(fields[14]) ?? 0) : 0
    }
}
