// A ring with a writer and a reader, threads to run them on, and random numbers that are the same every time.
import FileDescriptors
import FrameRing
import Glibc
import Testing
import Threads

struct RingFixture {
    let geometry: FrameRingGeometry
    let memory: FrameRingMemory

    init(capacity: Int = 256, slotCount: Int = 4) throws {
        geometry = try #require(FrameRingGeometry(capacity: capacity, slotCount: slotCount))
        memory = try FrameRingMemory(geometry: geometry, name: "test-ring")
    }

    func writer(generation: UInt32 = 1) throws -> FrameRingWriter {
        try FrameRingWriter(descriptor: memory.descriptor, geometry: geometry, generation: generation)
    }

    func reader() throws -> FrameRingReader {
        let owned = try memory.readOnlyDescriptor()
        let descriptor = owned.number
        return try FrameRingReader(descriptor: descriptor, geometry: geometry)
    }

    /// Writes into the ring's memory past every rule.
    func scribble(_ bytes: [UInt8], at offset: Int) {
        #expect(pwrite(memory.descriptor, bytes, bytes.count, off_t(offset)) == bytes.count)
    }

    func scribble(word: UInt64, at offset: Int) {
        scribble(withUnsafeBytes(of: word) { [UInt8]($0) }, at: offset)
    }
}

extension FrameRingWriter {
    /// Publishes a frame of `length` bytes that all hold the low byte of its number.
    @discardableResult
    func publishFrame(length: Int = 100, captured: UInt64 = 1_000) -> UInt64 {
        let slot = begin()
        for index in 0..<length { slot.bytes[index] = UInt8(truncatingIfNeeded: slot.sequence) }
        return publish(length: length, captured: captured)
    }
}

extension FrameRingReader {
    /// What comes next, in words that a test can compare: `"frame 3"`, `"gap 4…6: damaged on the way"`.
    func words(after sequence: UInt64) -> String {
        switch next(after: sequence, timeout: .zero) {
        case .frame(let frame): "frame \(frame.sequence)"
        case .gap(let gap): "gap \(gap.first)…\(gap.last): \(gap.cause)"
        case .timedOut: "nothing"
        }
    }
}

/// Runs each closure on a thread of its own and waits for all.
func onThreads(_ bodies: [@Sendable () -> Void]) {
    do throws(WorkerThread.StartFailure) {
        var threads: [WorkerThread] = []
        for body in bodies { threads.append(try WorkerThread(name: "test", body)) }
        for thread in threads { thread.join() }
    } catch {
        preconditionFailure("a test needs its threads: \(error)")
    }
}

/// SplitMix64.
struct Randomness: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
