// Who is served, and what outlives the endpoint's process.

import CLinux
import Foundation
import Glibc
import ScannerClient
import Synchronization
import Testing

@testable import ESCLEndpoint

@Suite struct CallerTests {
    @Test func `a file's mode decides as the kernel does`() {
        let socket = FileRights(user: 100, group: 200, mode: 0o660)
        #expect(socket.grants(2, to: 100, groups: []) && socket.grants(2, to: 1, groups: [7, 200]))
        #expect(!socket.grants(2, to: 1, groups: [7]) && !socket.grants(1, to: 100, groups: [200]))
        // Its owner has the owner's rights, in whichever group they are.
        #expect(!FileRights(user: 100, group: 200, mode: 0o060).grants(2, to: 100, groups: [200]))
        #expect(FileRights(user: 100, group: 200, mode: 0o002).grants(2, to: 1, groups: []))
    }

    @Test func `without a socket nobody else is served`() {
        let callers = Callers(folder: "/nowhere", socket: "/nowhere/socket")
        #expect(callers.serves(0) && callers.serves(geteuid()))
        #expect(!callers.serves(65_534))
    }

    @Test func `the kernel says whose the other end is, and what it has read`() throws {
        var port: UInt16 = 0
        let listener = clinux_tcp_listen("127.0.0.1", 0, &port)
        try #require(listener >= 0)
        defer { close(listener) }
        let client = clinux_tcp_connect("127.0.0.1", port, 5000)
        try #require(client >= 0)
        var ready = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        try #require(poll(&ready, 1, 5000) == 1)
        let server = clinux_tcp_accept(listener)
        try #require(server >= 0)
        defer { close(server) }
        var user: UInt32 = .max
        #expect(clinux_peer_user(server, &user) == 0 && user == geteuid())
        #expect(clinux_peer_unread(server) == 0)
        #expect(send(server, "abcd", 4, 0) == 4)
        ready = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
        try #require(poll(&ready, 1, 5000) == 1)
        #expect(clinux_peer_unread(server) == 4)
        var bytes = [UInt8](repeating: 0, count: 4)
        #expect(recv(client, &bytes, 4, 0) == 4)
        #expect(clinux_peer_unread(server) == 0)
        close(client)
        // What a process has closed is nobody's: not root's, whose the kernel calls it.
        user = .max
        #expect(clinux_peer_user(server, &user) == -ENOENT && user == .max)
        #expect(clinux_peer_unread(server) == Int(-ENOENT))
    }
}

@Suite struct SocketTests {
    @Test func `of a UNIX socket, too, and what was not read before the end is not called read`() throws {
        let path = "\(NSTemporaryDirectory())/peer-\(getpid()).sock"
        let listener = clinux_unix_stream(path, 1)
        try #require(listener >= 0)
        defer { close(listener) }
        for isRead in [true, false] {
            let client = clinux_unix_stream(path, 0)
            try #require(client >= 0)
            let server = accept(listener, nil, nil)
            try #require(server >= 0)
            defer { close(server) }
            var user: UInt32 = .max
            #expect(clinux_peer_user(server, &user) == 0 && user == geteuid())
            #expect(clinux_peer_unread(server) == 0)
            #expect(send(server, "abcd", 4, 0) == 4)
            #expect(clinux_peer_unread(server) > 0)
            var bytes = [UInt8](repeating: 0, count: 4)
            if isRead { #expect(recv(client, &bytes, 4, 0) == 4) }
            close(client)
            #expect(clinux_peer_unread(server) == (isRead ? 0 : Int(-ENOENT)))
        }
        unlink(path)
    }
}

@Suite struct BookTests {
    private func path() -> String { "\(NSTemporaryDirectory())/escl-book-\(UUID().uuidString)" }

    @Test func `ports and jobs are there again`() {
        let path = path()
        defer { unlink(path) }
        let job = EndpointBook.Job(
            token: "t", user: 7, device: "d", settings: ScanSettings(source: .feeder, resolution: 300, held: true), delivered: 0)
        let book = EndpointBook(path) { _ in }
        book.keep(8741, of: "d")
        book.remember(job)
        book.delivered("t", 3)
        let next = EndpointBook(path) { Issue.record("\($0)") }
        #expect(next.port(of: "d") == 8741 && next.taken(besides: "e") == [8741] && next.taken(besides: "d").isEmpty)
        #expect(next.jobs.map(\.delivered) == [3] && next.jobs.map(\.settings) == [job.settings])
        next.forget("t")
        #expect(EndpointBook(path) { _ in }.jobs.isEmpty)
        var file = stat()
        #expect(stat(path, &file) == 0 && file.st_mode & 0o777 == 0o600)
    }

    @Test(arguments: ["", "{", "[]", "{\"ports\":{\"a\":99999999},\"jobs\":[]}", String(repeating: "x", count: 2 << 20)])
    func `a file that is none is begun anew, and that is said`(text: String) throws {
        let path = path()
        defer { unlink(path) }
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let said = Mutex(0)
        let book = EndpointBook(path) { _ in said.withLock { $0 += 1 } }
        #expect(book.jobs.isEmpty && book.port(of: "a") == nil)
        #expect(said.withLock { $0 } == 1)
    }

    @Test func `a folder that can't be written to is said once`() {
        let said = Mutex(0)
        let book = EndpointBook("/nowhere/at/all") { _ in said.withLock { $0 += 1 } }
        book.keep(1, of: "a")
        book.keep(2, of: "b")
        #expect(book.port(of: "b") == 2 && said.withLock { $0 } == 1)
    }

    @Test func `a scanner's port and identity are its own and stay`() {
        let ports = EndpointIdentity.ports(of: "1209:0003:EMU0001", base: 8740)
        #expect(ports.count == 64 && Set(ports) == Set(8740..<8804) && ports.first == 8742)
        let identity = EndpointIdentity.text(of: "1209:0003:EMU0001")
        #expect(identity == EndpointIdentity.text(of: "1209:0003:EMU0001") && identity != EndpointIdentity.text(of: "1209:0003:EMU0002"))
        let parts = identity.split(separator: "-")
        #expect(parts.map(\.count) == [8, 4, 4, 4, 12] && parts[2].first == "8" && "89ab".contains(parts[3].prefix(1)))
    }
}
