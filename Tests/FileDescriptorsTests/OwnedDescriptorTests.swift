// Who closes, and when. What is closed is seen at a pipe's other end: numbers are given again to whoever opens something next.

import CLinux
import Glibc
import Testing

@testable import FileDescriptors

/// A pipe whose writing end is given to whom the test is about.
private final class Watched {
    private let reads: OwnedDescriptor

    private init(reads: consuming OwnedDescriptor) { self.reads = reads }

    /// The writing end, and whoever watches it.
    static func make(_ give: (consuming OwnedDescriptor) throws -> Void) rethrows -> Watched {
        guard let pipe = Pipe() else { preconditionFailure("there is no pipe") }
        let watched = Watched(reads: pipe.reads)
        try give(pipe.writes)
        return watched
    }

    /// Nobody can write any more.
    var isClosed: Bool {
        var entry = pollfd(fd: reads.number, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLHUP) != 0
    }
}

private struct Failure: Error {}

@Suite struct OwnedDescriptorTests {
    @Test func isClosedWhenItsOwnerGoes() {
        let watched = Watched.make { end in #expect(fcntl(end.number, F_GETFD) == FD_CLOEXEC) }
        #expect(watched.isClosed)
    }

    /// A number that was lent is good to the end of its owner's scope, not only up to the owner's last use.
    @Test func isOpenToTheEndOfItsScope() {
        guard let pipe = Pipe() else {
            Issue.record("there is no pipe")
            return
        }
        let number = pipe.writes.number
        #expect(write(number, "x", 1) == 1)
        #expect(write(number, "y", 1) == 1)
    }

    @Test func staysOpenWhereItWasGivenAway() {
        var number: Int32 = -1
        let watched = Watched.make { number = $0.handOver() }
        #expect(!watched.isClosed)
        close(number)
        #expect(watched.isClosed)
    }

    @Test func isClosedByAnInitialiserThatThrows() throws {
        final class Owner {
            private let file: OwnedDescriptor
            init(_ file: consuming OwnedDescriptor, fails: Bool) throws {
                self.file = file
                if fails { throw Failure() }
            }
            var number: Int32 { file.number }
        }
        let thrown = Watched.make { end in
            let number = end.handOver()
            #expect(throws: Failure.self) { _ = try Owner(OwnedDescriptor(number), fails: true) }
        }
        #expect(thrown.isClosed)
        var owner: Owner?
        let watched = try Watched.make { owner = try Owner($0, fails: false) }
        #expect(!watched.isClosed && owner != nil)
        owner = nil
        #expect(watched.isClosed)
    }

    @Test func isClosedWhenSomethingElseIsPutInItsPlace() {
        var place: OwnedDescriptor?
        #expect(place.number == nil)
        let watched = Watched.make { place = consume $0 }
        #expect(place.number != nil && !watched.isClosed)
        place = nil
        #expect(watched.isClosed && place.number == nil)
    }

    @Test func aCallThatFailsOpensNothing() {
        let file = OwnedDescriptor(opened: open("/nonexistent", O_RDONLY))
        let number = errno
        #expect(file.number == nil && number == ENOENT)
        let duplicate = OwnedDescriptor(duplicating: -1)
        #expect(duplicate.number == nil)
    }

    @Test func aDuplicateKeepsTheFileOpen() {
        var duplicate: OwnedDescriptor?
        let watched = Watched.make { duplicate = OwnedDescriptor(duplicating: $0.number) }
        #expect(!watched.isClosed && duplicate.number.map { fcntl($0, F_GETFD) } == FD_CLOEXEC)
        duplicate = nil
        #expect(watched.isClosed)
    }

    @Test func eachEndOfAPairHasAnOwnerOfItsOwn() {
        for kind in [SocketPair.Kind.stream, .packets] {
            guard let pair = SocketPair(kind) else {
                Issue.record("there is no pair")
                return
            }
            let ours = pair.ours.handOver()
            #expect(write(pair.theirs.number, "x", 1) == 1)
            var byte: UInt8 = 0
            #expect(read(ours, &byte, 1) == 1 && byte == UInt8(ascii: "x"))
            close(ours)
        }
    }
}

@Suite struct OwnedDescriptorsTests {
    private func make(_ count: Int) -> (numbers: [Int32], watching: [Int32]) {
        var (numbers, watching): ([Int32], [Int32]) = ([], [])
        for _ in 0..<count {
            var ends: [Int32] = [-1, -1]
            #expect(clinux_pipe(&ends) == 0)
            watching.append(ends[0])
            numbers.append(ends[1])
        }
        return (numbers, watching)
    }

    private func isClosed(_ watching: Int32) -> Bool {
        var entry = pollfd(fd: watching, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLHUP) != 0
    }

    @Test func allAreClosedTogetherButThoseThatWereTaken() {
        let (numbers, watching) = make(4)
        defer { watching.forEach { close($0) } }
        var (first, last): (Int32?, Int32?)
        do {
            var all = OwnedDescriptors(numbers)
            #expect(all.count == 4 && all.first == numbers[0] && all[3] == numbers[3])
            first = all.takeFirst()?.handOver()
            last = all.takeLast()?.handOver()
            #expect(all.numbers == [numbers[1], numbers[2]])
        }
        #expect(first == numbers[0] && last == numbers[3])
        #expect(watching.map { isClosed($0) } == [false, true, true, false])
        for case let number? in [first, last] { close(number) }
    }

    @Test func whatIsGivenAwayStaysOpen() {
        let (numbers, watching) = make(2)
        defer { watching.forEach { close($0) } }
        #expect(OwnedDescriptors(numbers).handOver() == numbers)
        #expect(watching.allSatisfy { !isClosed($0) })
        do {
            var all = OwnedDescriptors()
            for number in numbers { all.append(OwnedDescriptor(number)) }
        }
        #expect(watching.allSatisfy { isClosed($0) })
        var none = OwnedDescriptors()
        let taken = [none.takeFirst()?.handOver(), none.takeLast()?.handOver()]
        #expect(taken == [nil, nil])
    }
}
