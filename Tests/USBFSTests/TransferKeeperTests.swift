// A keeper hands a dead driver's bytes to the successor. Memory of the kernel's is a memfd here; that a real one goes along is proven in Tests/vm.

import CLinux
import FileDescriptors
import Glibc
import Testing
import Threads
import USB

@testable import TransferRing
@testable import USBFS

@Suite(.timeLimit(.minutes(1))) struct TransferKeeperTests {
    /// A ring's memory, as its driver and the successor have it mapped, and a file whose mappings all show the same bytes.
    private struct Scene {
        let memory: TransferRingMemory
        let ours: TransferRingMapping
        let successors: TransferRingMapping
        let file: NodeFile

        init(transferCount: Int = 4, length: Int = 20_000) throws {
            let geometry = try #require(TransferRingGeometry(transferCount: transferCount, packetCount: 0, packetLength: length))
            memory = try TransferRingMemory(geometry: geometry)
            ours = try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: nil)
            successors = try TransferRingMapping(descriptor: memory.descriptor, geometry: geometry, number: nil)
            let descriptor = clinux_memfd("device", 0)
            #expect(ftruncate(descriptor, 1 << 20) == 0)
            file = NodeFile(OwnedDescriptor(descriptor))
        }

        func fetch(_ index: Int, _ patience: Duration) async -> Bool {
            await blocking("fetch") { [successors] in RingRecord(successors, index: index).fetch(patience: patience) }
        }

        func ring() async -> Bool {
            await blocking("ring") { [successors] in successors.ringKeepers(until: clinux_monotonic_ns() + 30_000_000_000) }
        }
    }

    private func isMapped(_ address: UnsafeMutableRawPointer) -> Bool {
        // Of a range that nothing is mapped in: ENOMEM.
        msync(address, 4096, MS_ASYNC) == 0
    }

    /// One test: a process has one keeper.
    @Test func bytesOfADeadDriverReachTheSuccessor() async throws {
        let scene = try Scene()
        var life: [Int32] = [-1, -1]
        try #require(clinux_pipe(&life) == 0)
        let keeper = try #require(TransferKeeper(incarnation: 7, watching: life[0], isConfined: false))
        var use = keeper.buffers(for: scene.ours, of: scene.file)
        let (base, stride) = try #require(use.map { ($0.base, $0.stride) })
        // Another ring is carried as before.
        #expect(keeper.buffers(for: scene.successors, of: scene.file) == nil)
        for index in 0..<3 {
            let record = RingRecord(scene.ours, index: index)
            record.prepare(number: UInt64(index), length: 20_000)
            let bytes = try #require(use?.buffer(for: record))
            #expect(bytes.count == 20_000 && isMapped(base + index * stride))
            record.lie(in: keeper.owner)
            record.markInFlight()
        }
        let shared = try #require(use?.buffer(0))
        #expect(use?.buffer(3) == nil)

        // The driver lives: nobody is answered.
        for offset in shared.indices { shared[offset] = UInt8(truncatingIfNeeded: offset &* 31) }
        let first = RingRecord(scene.successors, index: 0)
        first.complete(status: 0, actualLength: 19_999, at: 1)
        #expect(await scene.fetch(0, .milliseconds(50)) == false)
        #expect(first.place == 7)

        // It dies, and has a successor: its keeper stays, also while nothing is wanted for longer than one is waited for.
        scene.successors.inherit(as: 8)
        close(life[1])
        try await Task.sleep(for: .milliseconds(2500))
        #expect(await scene.fetch(0, .seconds(30)))
        #expect(first.place == 0)
        #expect((0..<19_999).allSatisfy { first.buffer[$0] == UInt8(truncatingIfNeeded: $0 &* 31) })
        // More than came is not copied.
        #expect(first.buffer[19_999] == 0)
        #expect(!isMapped(base) && isMapped(base + stride))

        // What was handled already is submitted again elsewhere: its memory is given back.
        let second = RingRecord(scene.successors, index: 1)
        second.lie(in: 8)
        let rung = await scene.ring()
        #expect(rung && !isMapped(base + stride))

        // Bytes that the device writes after its driver's death.
        let third = RingRecord(scene.successors, index: 2)
        try #require(isMapped(base + 2 * stride))
        memset(base + 2 * stride, 5, 20_000)
        third.complete(status: 0, actualLength: 20_000, at: 1)
        third.want()
        #expect(await scene.fetch(2, .seconds(30)))
        #expect(third.buffer.allSatisfy { $0 == 5 })

        // Nothing is left: it ends, and nobody answers any more.
        let stray = RingRecord(scene.successors, index: 3)
        stray.lie(in: 7)
        #expect(await scene.fetch(3, .milliseconds(50)) == false)
        close(life[0])

        // Once the ring has no use for it, it is the next one's; at other addresses.
        use = nil
        let next = try #require(keeper.buffers(for: try Scene().ours, of: scene.file))
        #expect(next.base != base)
    }

    @Test func theMostAndTheLargestAreRefused() throws {
        let most = try #require(TransferRingGeometry(transferCount: 256, packetCount: 64, packetLength: 3072))
        #expect(MappedBuffers.fits(most))
        let longest = try #require(TransferRingGeometry(transferCount: 2, packetCount: 0, packetLength: (4 << 20) + 1))
        #expect(!MappedBuffers.fits(longest))
        let widest = try #require(TransferRingGeometry(transferCount: 32, packetCount: 0, packetLength: 4 << 20))
        #expect(!MappedBuffers.fits(widest))
    }

    @Test func memoryIsReadAtItsOwnSpeed() {
        let bytes = [UInt8](repeating: 1, count: 1 << 20)
        let time = bytes.withUnsafeBytes { clinux_reading_time($0.baseAddress, UInt64($0.count)) }
        #expect(time > 0 && time < 1_000_000_000)
    }
}
