// Children: what they inherit, how their ends are told, that they end.

import CLinux
import Glibc
import Spawn
import Testing
import Threads

/// Runs a program of the system with its output caught.
private func run(
    _ path: String, _ arguments: [String], environment: [String: String] = [:], extra: [Int32?] = []
) throws -> (end: ChildProcess.End, output: String) {
    var ends: [Int32] = [-1, -1]
    #expect(clinux_pipe(&ends) == 0)
    let resolved = try #require(realpath(path, nil))
    defer { free(resolved) }
    let child = try ChildProcess(
        path: String(cString: resolved),
        ChildProcess.Plan(arguments: [path] + arguments, environment: environment, descriptors: [nil, ends[1], ends[1]] + extra))
    close(ends[1])
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = read(ends[0], &buffer, buffer.count)
        guard count > 0 else { break }
        output += buffer[..<count]
    }
    close(ends[0])
    return (try #require(try child.wait()), String(decoding: output, as: UTF8.self))
}

@Suite struct ChildProcessTests {
    @Test func tellsHowAChildEnded() throws {
        #expect(try run("/bin/sh", ["-c", "exit 7"]).end == .exited(status: 7))
        #expect(try run("/bin/sh", ["-c", "kill -USR1 $$"]).end == .signaled(SIGUSR1, dumped: false))
        #expect(ChildProcess.End.signaled(SIGSEGV, dumped: true).description == "SIGSEGV")
    }

    @Test func inheritsNothingButWhatItIsGiven() throws {
        let memory = clinux_memfd("given", 0)
        defer { close(memory) }
        let (end, output) = try run("/bin/ls", ["-l", "/proc/self/fd"], extra: [memory, nil])
        #expect(end == .exited(status: 0))
        let lines = output.split(separator: "\n").filter { $0.contains(" -> ") }
        // 0…4, and the folder that ls itself opened.
        #expect(lines.count == 6)
        #expect(lines.contains { $0.contains(" 3 -> /memfd:given") })
        #expect(lines.contains { $0.contains(" 0 -> /dev/null") })
        #expect(lines.contains { $0.contains(" 4 -> /dev/null") })
        #expect(try run("/usr/bin/env", [], environment: ["A": "1"]).output == "A=1\n")
    }

    @Test(.enabled(if: geteuid() == 0, "becoming somebody else takes root"))
    func becomesAnotherUserWithTheirGroupsAndNoOther() throws {
        var ends: [Int32] = [-1, -1]
        try #require(clinux_pipe(&ends) == 0)
        defer { close(ends[0]) }
        let executable = try SealedExecutable(path: "/usr/bin/id", isExecutableByAll: true)
        var plan = ChildProcess.Plan(arguments: ["id"], descriptors: [nil, ends[1], ends[1]], deathSignal: SIGKILL)
        plan.account = Account(user: 65534, group: 65533, groups: [65533, 4711])
        let child = try ChildProcess(executing: executable.descriptor, plan)
        withExtendedLifetime(executable) { _ = close(ends[1]) }
        #expect(try child.wait() == .exited(status: 0))
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(ends[0], &bytes, bytes.count)
        let said = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        #expect(said.hasPrefix("uid=65534") && said.contains("4711"), "\(said)")
        #expect(!said.contains("(root)"), "\(said)")
        #expect(Account(named: "root")?.user == 0 && Account(named: "nobody at all") == nil)
    }

    @Test func descriptorsMayTradePlaces() throws {
        // The parent's 0…2 are open; ask for them in another order.
        let (_, output) = try run("/bin/ls", ["-l", "/proc/self/fd"], extra: [2, 1, 0].map { Optional($0) })
        #expect(output.split(separator: "\n").filter { $0.contains(" -> ") }.count == 7)
    }

    @Test func saysWhyAnExecutionFailed() throws {
        let memory = clinux_memfd("no-program", 1)
        defer { close(memory) }
        #expect(write(memory, "junk", 4) == 4)
        let error = try #require(throws: SpawnError.self) {
            try ChildProcess(executing: memory, ChildProcess.Plan(arguments: ["junk"], descriptors: [nil, nil, nil]))
        }
        #expect(error.errno == ENOEXEC || error.errno == EACCES)
        #expect(error.description.contains("junk"))
    }

    @Test func endsAChildThatIgnoresTheFirstStep() throws {
        var ends: [Int32] = [-1, -1]
        #expect(clinux_pipe(&ends) == 0)
        defer { close(ends[0]) }
        let resolved = try #require(realpath("/bin/sh", nil))
        defer { free(resolved) }
        let child = try ChildProcess(
            path: String(cString: resolved),
            ChildProcess.Plan(
                arguments: ["sh", "-c", "trap '' TERM; echo ready; while :; do read line || :; done"], descriptors: [nil, ends[1], nil]))
        close(ends[1])
        var byte: UInt8 = 0
        #expect(read(ends[0], &byte, 1) == 1)
        #expect(try child.collect() == nil)
        let end = try child.tearDown([TeardownStep(signal: SIGTERM, patience: .milliseconds(20))])
        #expect(end == .signaled(SIGKILL, dumped: false))
        #expect(try child.kill(SIGKILL) == false)
        #expect(try child.collect() == end)
    }

    @Test func diesWithTheThreadThatSpawnedIt() throws {
        var ends: [Int32] = [-1, -1]
        #expect(clinux_pipe(&ends) == 0)
        let resolved = try #require(realpath("/bin/cat", nil))
        let path = String(cString: resolved)
        free(resolved)
        let writeEnd = ends[1]
        let keptOpen = ends[0]
        nonisolated(unsafe) var child: ChildProcess?  // written by the thread, read after it was joined
        let thread = try WorkerThread(name: "spawner") {
            child = try? ChildProcess(
                path: path, ChildProcess.Plan(arguments: ["cat"], descriptors: [keptOpen, nil, nil], deathSignal: SIGKILL))
        }
        thread.join()
        let end = try #require(child).wait(timeout: .seconds(20))
        #expect(end == .signaled(SIGKILL, dumped: false))
        close(writeEnd)
        close(keptOpen)
    }
}

@Suite struct SealedExecutableTests {
    /// As while the kernel holds a page of it.
    @Test func whatIsBusyForAMomentIsSealedAllTheSame() async throws {
        let memory = clinux_memfd("busy", 0)
        defer { close(memory) }
        try #require(ftruncate(memory, 4096) == 0)
        let mapped = try #require(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0))
        #expect(clinux_seal_all_patiently(memory, 2) == -EBUSY)
        async let sealed = blocking("seal") { clinux_seal_all_patiently(memory, 3000) }
        munmap(mapped, 4096)
        #expect(await sealed == 0)
    }

    @Test func cannotBeChangedAnyMore() throws {
        let resolved = try #require(realpath("/bin/true", nil))
        defer { free(resolved) }
        let executable = try SealedExecutable(path: String(cString: resolved))
        #expect(write(executable.descriptor, "x", 1) == -1)
        #expect(ftruncate(executable.descriptor, 0) == -1)
        #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, executable.descriptor, 0) == MAP_FAILED)
        #expect(executable.byteCount > 0)
    }

    @Test(arguments: ["/nonexistent/driver", "/proc/self/exe", "/dev/null", "/tmp"])
    func refusesWhatIsNoFile(path: String) {
        #expect(throws: SpawnError.self) { try SealedExecutable(path: path) }
    }
}
