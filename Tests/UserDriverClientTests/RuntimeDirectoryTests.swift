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

    /// The mode of what lies at `path`.
    private func mode(_ path: String) -> UInt32 {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    @Test func aFolderIsMadePrivate() throws {
        let daemon = try FakeDaemon { _, _ in }
        let folder = RuntimeDirectory(daemon.directory.path + "/new")
        defer { rmdir(folder.path) }
        try folder.create()
        #expect(mode(folder.path) == 0o700)
        try folder.create()
    }

    @Test(arguments: [0o755, 0o750, 0o1777, 0o777, 0o775] as [UInt32]) func aFolderThatIsThereIsNeverChanged(_ bits: UInt32) throws {
        let daemon = try FakeDaemon { _, _ in }
        let folder = RuntimeDirectory(daemon.directory.path + "/there")
        #expect(mkdir(folder.path, 0o700) == 0 && chmod(folder.path, bits) == 0)
        defer { rmdir(folder.path) }
        if bits & 0o022 == 0 {
            try folder.create()
        } else {
            let error = try #require(throws: ClientError.self) { try folder.create() }
            #expect(error.code == .notPermitted && error.message.contains("others can write to it"), "\(error)")
        }
        #expect(mode(folder.path) == bits)
    }

    @Test func aFileInItsPlaceIsRefused() throws {
        let daemon = try FakeDaemon { _, _ in }
        let error = try #require(throws: ClientError.self) { try RuntimeDirectory(daemon.directory.socketPath).create() }
        #expect(error.message.contains("not a folder"), "\(error)")
        let nowhere = try #require(throws: ClientError.self) { try RuntimeDirectory(daemon.directory.path + "/a/b").create() }
        #expect(nowhere.message.contains("does not exist"), "\(nowhere)")
    }

    @Test func aRelativePathStartsAtTheWorkingDirectory() throws {
        let folder = try #require(getcwd(nil, 0))
        defer { free(folder) }
        let path = String(cString: folder)
        #expect(RuntimeDirectory("run").path == path + "/run")
        #expect(RuntimeDirectory.own(option: "run/", environment: [:]).path == path + "/run")
        #expect(RuntimeDirectory.client(environment: ["USERDRIVER_RUNTIME_DIR": "run"]).path == path + "/run")
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
    }
}
