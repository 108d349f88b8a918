// Memory that goes with calls, made here for whoever fills it: so that no descriptor is ever taken
// from a client or a driver.

import CLinux
import FileDescriptors
import Glibc
import Wire

/// A memfd of fixed size. Its maker hands it out to be written once; sealed, it goes on to whoever
/// reads.
final class SharedMemory: Sendable {
    var descriptor: Int32 { memory.number }
    private let memory: OwnedDescriptor
    let byteCount: Int

    init(byteCount: Int) throws(CallError) {
        let made = clinux_memfd("call", 0)
        guard let memory = OwnedDescriptor(opened: made) else {
            throw CallError("LimitReached", "No memory is available: \(String(cString: strerror(-made))).")
        }
        guard ftruncate(memory.number, off_t(byteCount)) == 0, clinux_seal_resizing(memory.number) == 0 else {
            throw CallError("LimitReached", "No memory is available: \(String(cString: strerror(errno))).")
        }
        self.memory = memory
        self.byteCount = byteCount
    }

    /// From here on nobody writes to it. False while whoever had it has it mapped for writing
    /// still.
    func seal() -> Bool { clinux_seal_all(descriptor) == 0 }
}

/// What a client was given and has not sent along with a call yet.
@SupervisorActor
final class MemoryShelf {
    private(set) var list: [SharedMemory] = []

    nonisolated init() {}

    /// Throws `InvalidParameter`, `LimitReached`.
    func add(byteCount: Int, limits: SupervisorConfiguration.Limits) throws(CallError) -> SharedMemory {
        guard (1...limits.memoryBytesPerCall).contains(byteCount) else {
            throw CallError("InvalidParameter", "A call's memory must have 1 to \(limits.memoryBytesPerCall) bytes.")
        }
        guard list.count < MemoryRequest.maximumPerMessage else {
            throw CallError("LimitReached", "A call takes at most \(MemoryRequest.maximumPerMessage) pieces of memory.")
        }
        guard list.reduce(byteCount, { $0 + $1.byteCount }) <= limits.memoryBytesPerCall else {
            throw CallError("LimitReached", "A call takes at most \(limits.memoryBytesPerCall) bytes of memory.")
        }
        let memory = try SharedMemory(byteCount: byteCount)
        list.append(memory)
        return memory
    }

    /// All of it, for the call that it goes with. Throws `InvalidParameter` if the client could
    /// still write.
    func take() throws(CallError) -> [SharedMemory] {
        defer { list = [] }
        for memory in list where !memory.seal() {
            throw CallError("InvalidParameter", "The memory for the call is still mapped for writing: unmap it first.")
        }
        return list
    }
}
