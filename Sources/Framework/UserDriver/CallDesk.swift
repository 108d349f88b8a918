// The calls that a driver's process works on: each a task of its own, cancelled when nobody waits
// for it.

import FileDescriptors
import Glibc
import Synchronization
import Wire

/// Takes calls and their cancellations from the channel's thread, in order.
final class CallDesk<D: Driver>: Sendable {
    private let driver: D
    private let link: SupervisorLink
    private let running = Mutex<[UInt64: Task<Void, Never>]>([:])

    init(driver: D, link: SupervisorLink) {
        self.driver = driver
        self.link = link
    }

    /// Owns the descriptors.
    func take(_ call: DriverCall, _ numbers: [Int32]) {
        let descriptors = OwnedDescriptors(numbers)
        let memory: [CallMemory]
        do throws(CallError) {
            memory = try zip(descriptors.numbers, call.memory ?? []).map { descriptor, byteCount throws(CallError) in
                try CallMemory(descriptor: descriptor, byteCount: byteCount)
            }
        } catch {
            return link.send(.reply(DriverReply(id: call.id, error: error)))
        }
        let service = ServiceCall(call, memory: memory, exchange: Exchange(link: link, id: call.id))
        running.withLock { running in
            running[call.id] = Task { [self] in
                await work(on: service, id: call.id)
                self.running.withLock { $0[call.id] = nil }
            }
        }
    }

    func cancel(_ id: UInt64) { running.withLock { $0[id] }?.cancel() }

    private func work(on call: ServiceCall, id: UInt64) async {
        do {
            try call.finish(try await driver.call(call))
        } catch is CancellationError {
            link.reply(DriverReply(id: id, error: CallError("Cancelled", "The call was abandoned.")))
        } catch {
            link.reply(DriverReply(id: id, error: CallError(describing: error)))
        }
    }

    private struct Exchange: CallExchange {
        let link: SupervisorLink
        let id: UInt64

        func reply(_ parameters: JSONValue, continues: Bool, memory: [UInt64]) throws {
            try link.answer(
                DriverReply(id: id, result: parameters, continues: continues ? true : nil, memory: memory.isEmpty ? nil : memory))
        }
        func makeMemory(byteCount: Int) async throws -> ReplyMemory { try await link.openMemory(call: id, byteCount: byteCount) }
    }
}
