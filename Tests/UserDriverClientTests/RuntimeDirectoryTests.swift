// Where daemons and clients meet.

import FakeDaemon
import Glibc
import Testing
import UserDriverClient

@Suite struct RuntimeDirectoryTests {
    @Test func whatIsSaidOutrightWins() {
        let environment = ["USERDRIVER_RUNTIME_DIR": "/b", "XDG_RUNTIME_DIR": "/run/user/1"]
        #expect(RuntimeDirectory.client(option: "/a", environment: environment).path == "/a")
        #expect(RuntimeDirectory.client(environment: environment).path == "/b")
        #expect(RuntimeDirectory.own(option: "/a/", environment: environment).path == "/a")
        #expect(RuntimeDirectory.own(environment: environment).path == "/b")
    }

    @Test func aPersonsOwnDaemonLivesInTheirRuntimeFolder() {
        #expect(RuntimeDirectory.own(environment: ["XDG_RUNTIME_DIR": "/run/user/7"], user: 7).path == "/run/user/7/userdriver")
        #expect(RuntimeDirectory.own(environment: [:], user: 7).path == "/tmp/userdriver-7")
        #expect(RuntimeDirectory.own(environment: ["XDG_RUNTIME_DIR": ""], user: 7).path == "/tmp/userdriver-7")
    }

    @Test func clientsLookEverywhereThatADaemonCouldBe() {
        let found = RuntimeDirectory.candidates(environment: ["XDG_RUNTIME_DIR": "/run/user/7"], user: 7)
        #expect(found.map(\.path) == ["/run/user/7/userdriver", "/tmp/userdriver-7", "/run/userdriver"])
        #expect(RuntimeDirectory.candidates(environment: [:], user: 7).map(\.path) == ["/tmp/userdriver-7", "/run/userdriver"])
    }

    @Test func aClientTakesTheFolderWithASocket() throws {
        let daemon = try FakeDaemon { _, _ in }
        let parent = daemon.directory.path
        // The daemon's folder by another name: `$XDG_RUNTIME_DIR/userdriver` is a folder with the socket in it.
        #expect(mkdir(parent + "/userdriver", 0o700) == 0)
        #expect(link(daemon.directory.socketPath, parent + "/userdriver/io.userdriver") == 0)
        defer {
            unlink(parent + "/userdriver/io.userdriver")
            rmdir(parent + "/userdriver")
        }
        #expect(RuntimeDirectory.client(environment: ["XDG_RUNTIME_DIR": parent]).path == parent + "/userdriver")
    }

    @Test func aFolderIsMadePrivate() throws {
        let daemon = try FakeDaemon { _, _ in }
        let folder = RuntimeDirectory(daemon.directory.path + "/new")
        defer { rmdir(folder.path) }
        try folder.create()
        chmod(folder.path, 0o755)
        try folder.create()
        var status = stat()
        #expect(stat(folder.path, &status) == 0 && status.st_mode & 0o777 == 0o700)
    }

    @Test func aLinkInItsPlaceIsRefused() throws {
        let daemon = try FakeDaemon { _, _ in }
        let path = daemon.directory.path + "/link"
        #expect(symlink(daemon.directory.path, path) == 0)
        defer { unlink(path) }
        let error = try #require(throws: ClientError.self) { try RuntimeDirectory(path).create() }
        #expect(error.code == .notPermitted)
    }

    @Test func pathsThatNoSocketFitsInAreRefused() throws {
        let error = try #require(throws: ClientError.self) {
            try RuntimeDirectory("/tmp/" + String(repeating: "x", count: 120)).create()
        }
        #expect(error.code == .invalidParameter)
        #expect(throws: ClientError.self) { try RuntimeDirectory("relative").create() }
    }
}
