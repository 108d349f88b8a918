// The input that is being run, in shared memory: when it ends the process, whoever watches still has it.

import Glibc

/// A file of which both sides map the start: 8 bytes length, 8 bytes count of inputs, then the input.
final class CurrentInput {
    private static let header = 16
    private static let size = header + Mutator.largestInput
    private let memory: UnsafeMutableRawPointer

    /// Creates or opens the file. `nil` with errno set when it can't be.
    init?(path: String) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard ftruncate(descriptor, off_t(Self.size)) == 0,
            let memory = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), memory != MAP_FAILED
        else { return nil }
        self.memory = memory
    }

    deinit { munmap(memory, Self.size) }

    func begin(_ bytes: [UInt8]) {
        let count = min(bytes.count, Mutator.largestInput)
        bytes.withUnsafeBytes {
            memory.advanced(by: Self.header).copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: count)
        }
        memory.storeBytes(of: UInt64(count), as: UInt64.self)
        memory.storeBytes(of: inputs &+ 1, toByteOffset: 8, as: UInt64.self)
    }

    /// How many inputs were begun.
    var inputs: UInt64 { memory.load(fromByteOffset: 8, as: UInt64.self) }

    var bytes: [UInt8] {
        let count = min(Mutator.largestInput, Int(truncatingIfNeeded: memory.load(as: UInt64.self) & 0xffff_ffff))
        return Array(UnsafeRawBufferPointer(start: memory.advanced(by: Self.header), count: count))
    }
}
